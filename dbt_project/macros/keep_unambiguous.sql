{#-
    R2: of the told edges in a CTE (portfolio_id, left_node_id, right_node_id, changed_at, strength, side, side_strength),
    one row per change that tells one, each is `kept` when no rival leaves its old node or enters its new node,
    `ambiguous` when the strongest rivals are equal, else `outranked`. Edges that enter a node from one side of one
    change (`side`) are no rivals there, and enter with that side's strength.

    Edges that follow one another in time are no rivals. A tour of a node leaves it and comes back, each edge at or after
    the one before it, and is as strong as its weakest edge. It parts what came before its end from what comes after, for
    rivals of which the weaker is at most as strong: A -> B, B -> A, A -> C is a walk. An edge from elsewhere parts nothing.
-#}
{% macro keep_unambiguous(edges) %}
    with recursive walks as (

        select
            portfolio_id,
            left_node_id as home_node_id,
            right_node_id as node_id,
            changed_at,
            strength
        from {{ edges }}
        where (portfolio_id, left_node_id) in (select portfolio_id, right_node_id from {{ edges }})
        union
        select
            walks.portfolio_id,
            walks.home_node_id,
            onward.right_node_id as node_id,
            onward.changed_at,
            least(walks.strength, onward.strength) as strength
        from walks
        inner join {{ edges }} as onward
            on walks.portfolio_id = onward.portfolio_id
            and walks.node_id = onward.left_node_id
            and walks.changed_at <= onward.changed_at
        where walks.node_id <> walks.home_node_id

    ),

    tours as (

        select
            portfolio_id,
            node_id,
            changed_at as closed_at,
            max(strength) as strength
        from walks
        where node_id = home_node_id
        group by all

    ),

    {{ rivals_at('leaving', edges, 'left_node_id', 'right_node_id', 'strength') }},

    {{ rivals_at('entering', edges, 'right_node_id', 'side', 'side_strength') }}

    select
        edges.*,
        case
            when leaving.has_rival is null and entering.has_rival is null then 'kept'
            when leaving.has_rival = 'equal' or entering.has_rival = 'equal' then 'ambiguous'
            else 'outranked'
        end as decision,
        tours.closed_at is not null as is_return
    from {{ edges }} as edges
    left join leaving using (portfolio_id, left_node_id, right_node_id, changed_at, strength)
    left join entering using (portfolio_id, left_node_id, right_node_id, changed_at, strength)
    left join tours
        on edges.portfolio_id = tours.portfolio_id
        and edges.right_node_id = tours.node_id
        and edges.changed_at = tours.closed_at
{% endmacro %}

{#- Of edges at one end, whether a rival there is `equal` or `stronger`: judged among those at least as strong, between
    the same tours. -#}
{% macro rivals_at(name, edges, node, partner, strength) %}
    {{ name }}_levels as (

        select
            edges.*,
            levels.level,
            count(tours.closed_at) as tour_count
        from (select distinct * from {{ edges }}) as edges
        inner join (select unnest([1, 2, 3, 4]) as level) as levels on edges.{{ strength }} >= levels.level
        left join tours
            on edges.portfolio_id = tours.portfolio_id
            and edges.{{ node }} = tours.node_id
            and edges.changed_at >= tours.closed_at
            and levels.level <= tours.strength
        group by all

    ),

    {{ name }} as (

        select
            portfolio_id,
            left_node_id,
            right_node_id,
            changed_at,
            strength,
            case
                when
                    min({{ partner }}) filter (where {{ strength }} > level) over {{ name }}_rivals <> {{ partner }}
                    or max({{ partner }}) filter (where {{ strength }} > level) over {{ name }}_rivals <> {{ partner }}
                    then 'stronger'
                when min({{ partner }}) over {{ name }}_rivals <> max({{ partner }}) over {{ name }}_rivals then 'equal'
            end as has_rival
        from {{ name }}_levels
        window {{ name }}_rivals as (partition by portfolio_id, {{ node }}, level, tour_count)
        qualify level = {{ strength }}

    )
{% endmacro %}
