{#-
    R2: of the edges in a CTE (portfolio_id, left_node_id, right_node_id, strength, side, side_strength) each is
    `kept` when it is strictly the strongest of all that leave its old node and of all that enter its new node,
    `ambiguous` when the strongest are equal, else `outranked`. Edges that enter a node from one side of one change
    (`side`) are no rivals there, and enter with that side's strength.
-#}
{% macro keep_unambiguous(edges) %}
    select
        *,
        case
            when rank_leaving = 1 and rank_entering = 1
                and equals_leaving = 1 and not has_equal_side then 'kept'
            when (rank_leaving = 1 and equals_leaving > 1)
                or (rank_entering = 1 and has_equal_side) then 'ambiguous'
            else 'outranked'
        end as decision
    from (
        select
            *,
            rank() over (
                partition by portfolio_id, left_node_id order by strength desc
            ) as rank_leaving,
            count(*) over (partition by portfolio_id, left_node_id, strength) as equals_leaving,
            rank() over (
                partition by portfolio_id, right_node_id order by side_strength desc
            ) as rank_entering,
            min(side) over equally_entering <> max(side) over equally_entering as has_equal_side
        from {{ edges }}
        window equally_entering as (partition by portfolio_id, right_node_id, side_strength)
    )
{% endmacro %}
