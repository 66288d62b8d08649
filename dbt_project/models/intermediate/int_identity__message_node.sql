{{ config(materialized='incremental', pre_hook="{{ forget(touched_message('message_id')) }}") }}

-- Whose a message is: the BSUID it shows, else whoever was on its phone at that time.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where message_id is not null
    {{- only(touched_message('message_id'), 'and') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null
    {{- only(touched_message('message_id'), 'and') }}

),

by_bsuid as (

    select
        portfolio_id,
        message_id,
        arg_min(bsuid, (evidence_at, received_at, bsuid)) as bsuid,
        bool_or(is_ignored) as is_ignored
    from observations
    group by all

),

by_phone as (

    select
        portfolio_id,
        message_id,
        arg_min(
            {'node_id': node_id, 'reason': unassigned_reason},
            (node_id is null, evidence_at, received_at, phone)
        ) as assignment
    from assignments
    group by all

),

final as (

    select
        by_bsuid.portfolio_id,
        by_bsuid.message_id,
        coalesce({{ bsuid_node('by_bsuid.bsuid') }}, by_phone.assignment.node_id) as node_id,
        case
            when by_bsuid.bsuid is not null then null
            when by_phone.assignment.node_id is not null then null
            when by_bsuid.is_ignored then 'ignored'
            else coalesce(by_phone.assignment.reason, 'no_identifier')
        end as unassigned_reason
    from by_bsuid
    left join by_phone using (portfolio_id, message_id)

)

select * from final
