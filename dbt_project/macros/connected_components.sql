{#-
    Connected components of the edges in a CTE, within a scope (columns, or none): one row per node that has an
    edge, with the smallest node of its component. Nodes without edges are components of their own and
    are left out.

    Over numbers, by the function that plugins/connected_components.py adds: recursion takes ten times as long.
-#}
{% macro connected_components(edges, scope, left_node, right_node) %}
    with

    distinct_nodes as (

        select {% for column in scope %}{{ column }}, {% endfor %}{{ left_node }} as node_id
        from {{ edges }}
        union
        select {% for column in scope %}{{ column }}, {% endfor %}{{ right_node }} as node_id
        from {{ edges }}

    ),

    nodes as materialized (

        select
            {% for column in scope %}{{ column }}, {% endfor %}node_id,
            cast(row_number() over () - 1 as integer) as node_number
        from distinct_nodes

    ),

    numbered as (

        select
            list(left_nodes.node_number) as left_numbers,
            list(right_nodes.node_number) as right_numbers
        from {{ edges }} as edges
        inner join nodes as left_nodes
            on {% for column in scope %}edges.{{ column }} = left_nodes.{{ column }} and {% endfor %}
            edges.{{ left_node }} = left_nodes.node_id
        inner join nodes as right_nodes
            on {% for column in scope %}edges.{{ column }} = right_nodes.{{ column }} and {% endfor %}
            edges.{{ right_node }} = right_nodes.node_id

    ),

    components as (

        select
            unnest(component_numbers) as component_number,
            generate_subscripts(component_numbers, 1) - 1 as node_number
        from (select components_of(left_numbers, right_numbers) as component_numbers from numbered)

    )

    select
        {% for column in scope %}nodes.{{ column }}, {% endfor %}
        nodes.node_id,
        min(nodes.node_id) over (partition by components.component_number) as label_id
    from nodes
    inner join components using (node_number)
{% endmacro %}
