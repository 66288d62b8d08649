{#-
    R2: of the edges in a CTE (portfolio_id, left_node_id, right_node_id, strength) each is `kept` when it is
    strictly the strongest of all that leave its old node and of all that enter its new node, `ambiguous` when the
    strongest are equal, else `outranked`.
-#}
{% macro keep_unambiguous(edges) %}
    select
        *,
        case
            when rank_leaving = 1 and rank_entering = 1
                and equals_leaving = 1 and equals_entering = 1 then 'kept'
            when (rank_leaving = 1 and equals_leaving > 1)
                or (rank_entering = 1 and equals_entering > 1) then 'ambiguous'
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
                partition by portfolio_id, right_node_id order by strength desc
            ) as rank_entering,
            count(*) over (partition by portfolio_id, right_node_id, strength) as equals_entering
        from {{ edges }}
    )
{% endmacro %}
