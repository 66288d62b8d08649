-- R11: what a person decided, with each side resolved to a node, and what is wrong with it.
with

overrides as (

    select * from {{ ref('identity_overrides') }}

),

nodes as (

    select * from {{ ref('int_identity__node') }}

),

stays as (

    select * from {{ ref('int_identity__stay') }}
    {{- of_this_run() }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

numbered as (

    select
        md5(concat_ws('|', portfolio_id, left_type, left_value, left_at, right_type, right_value, right_at, decision))
            as override_id,
        *
    from overrides

),

sides as (

    select
        override_id, 'left' as side, portfolio_id,
        left_type as identifier_type, left_value as identifier_value,
        coalesce(left_at, {{ end_of_time() }}) as held_at
    from numbered
    union all
    select
        override_id, 'right' as side, portfolio_id,
        right_type as identifier_type, right_value as identifier_value,
        coalesce(right_at, {{ end_of_time() }}) as held_at
    from numbered

),

-- The time says which holder or segment of a phone is meant; the latest one if there is none.
resolved_sides as (

    select
        sides.override_id,
        sides.side,
        case sides.identifier_type
            when 'bsuid' then nodes.node_id
            when 'phone' then stays.node_id
        end as node_id
    from sides
    left join nodes
        on sides.portfolio_id = nodes.portfolio_id
        and {{ bsuid_node('sides.identifier_value') }} = nodes.node_id
    asof left join stays
        on sides.portfolio_id = stays.portfolio_id
        and sides.identifier_value = stays.phone
        and sides.held_at >= stays.stays_from

),

resolved as (

    select
        numbered.*,
        left_side.node_id as left_node_id,
        right_side.node_id as right_node_id,
        numbered.expires_at <= as_of.as_of as is_expired
    from numbered
    cross join as_of
    left join resolved_sides as left_side
        on numbered.override_id = left_side.override_id and left_side.side = 'left'
    left join resolved_sides as right_side
        on numbered.override_id = right_side.override_id and right_side.side = 'right'

),

contradicted as (

    select
        *,
        count(distinct decision) filter (where not coalesce(is_expired, false)) over (
            partition by
                portfolio_id,
                least(left_node_id, right_node_id),
                greatest(left_node_id, right_node_id)
        ) as decisions_on_pair
    from resolved

),

final as (

    select
        override_id,
        portfolio_id,
        left_type,
        left_value,
        left_at,
        right_type,
        right_value,
        right_at,
        decision,
        author,
        decided_at,
        reason,
        expires_at,
        left_node_id,
        right_node_id,
        case
            when is_expired then 'expired'
            when decision not in ('must_link', 'cannot_link') or decision is null then 'unknown_decision'
            when left_node_id is null then 'unknown_left_identifier'
            when right_node_id is null then 'unknown_right_identifier'
            when left_node_id = right_node_id then 'contradicts_R1'
            when decisions_on_pair > 1 then 'contradicts_another_row'
        end as problem
    from contradicted

)

select * from final
