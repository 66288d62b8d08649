-- R2: the edges between nodes that rotations and number changes are evidence for.
with

both_sides as (

    select * from {{ ref('int_identity__change_side') }}

),

typed_edges as (

    select
        portfolio_id,
        {{ bsuid_node('old_bsuid') }} as left_node_id,
        {{ bsuid_node('new_bsuid') }} as right_node_id,
        strength,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is not null and new_bsuid is not null

),

phone_edges as (

    select
        portfolio_id,
        coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id) as left_node_id,
        coalesce({{ bsuid_node('new_bsuid') }}, new_phone_node_id) as right_node_id,
        2 as strength,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is null or new_bsuid is null

),

body_text_edges as (

    select
        portfolio_id,
        {{ bsuid_node('body_old_bsuid') }} as left_node_id,
        {{ bsuid_node('new_bsuid') }} as right_node_id,
        1 as strength,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is null and body_old_bsuid is not null and new_bsuid is not null

),

candidates as (

    select * from typed_edges
    union all by name
    select * from phone_edges
    union all by name
    select * from body_text_edges

),

edges as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        max(strength) as strength,
        arg_min(event_id, (-strength, changed_at, event_id)) as evidence_event_id,
        min(changed_at) as linked_at
    from candidates
    where
        left_node_id is not null
        and right_node_id is not null
        and left_node_id <> right_node_id
    group by portfolio_id, left_node_id, right_node_id

),

-- At equal strength the edges of a fork or a join are all dropped; the strictly strongest stays.
judged as (

    {{ keep_unambiguous('edges') }}

),

final as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        case strength
            when 4 then 'typed'
            when 3 then 'user_id_update'
            when 2 then 'phone'
            else 'body_text'
        end as strength,
        if(strength >= 3, 1, 4) as evidence_tier,
        evidence_event_id,
        linked_at,
        decision
    from judged

)

select * from final
