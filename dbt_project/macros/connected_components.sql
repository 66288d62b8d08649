{#-
    Connected components of the edges in a CTE, within a scope: one row per node that has an edge,
    with the smallest node of its component. Nodes without edges are components of their own and
    are left out.
-#}
{% macro connected_components(edges, scope, left_node, right_node) -%}
    {{ return(adapter.dispatch('connected_components')(edges, scope, left_node, right_node)) }}
{%- endmacro %}

{% macro duckdb__connected_components(edges, scope, left_node, right_node) %}
{%- set scope_columns = scope | join(', ') %}
    with recursive

    neighbours as (

        select {{ scope_columns }}, {{ left_node }} as node_id, {{ right_node }} as neighbour_id
        from {{ edges }}
        union
        select {{ scope_columns }}, {{ right_node }} as node_id, {{ left_node }} as neighbour_id
        from {{ edges }}

    ),

    labelled as (

        select {{ scope_columns }}, node_id, least(node_id, min(neighbour_id)) as label_id
        from neighbours
        group by {{ scope_columns }}, node_id

    ),

    spread using key ({{ scope_columns }}, node_id) as (

        select {{ scope_columns }}, node_id, label_id
        from labelled
        union
        select
            {% for column in scope %}neighbours.{{ column }}, {% endfor %}
            neighbours.neighbour_id as node_id,
            min(spread.label_id) as label_id
        from spread
        inner join neighbours
            on {% for column in scope %}spread.{{ column }} = neighbours.{{ column }} and {% endfor %}
            spread.node_id = neighbours.node_id
        inner join recurring.spread as known
            on {% for column in scope %}neighbours.{{ column }} = known.{{ column }} and {% endfor %}
            neighbours.neighbour_id = known.node_id
        where spread.label_id < known.label_id
        group by {% for column in scope %}neighbours.{{ column }}, {% endfor %}neighbours.neighbour_id

    )

    select {{ scope_columns }}, node_id, label_id
    from spread
{% endmacro %}
