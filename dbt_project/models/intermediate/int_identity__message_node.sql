{{ config(materialized='incremental', pre_hook="{{ forget('message_id in ' ~ ids_of('int_identity__touched_message')) }}") }}

-- Whose a message is: the BSUID it shows, else whoever was on its phone at that time.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where message_id is not null
    {{- only('message_id in ' ~ ids_of('int_identity__touched_message'), 'and') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null
    {{- only('message_id in ' ~ ids_of('int_identity__touched_message'), 'and') }}

),

-- Ranked, not aggregated with arg_min: sorting spills to disk where memory is short.
by_bsuid as (

    select
        portfolio_id,
        message_id,
        bsuid,
        bool_or(is_ignored) over (partition by portfolio_id, message_id) as is_ignored
    from observations
    qualify
        row_number() over (
            partition by portfolio_id, message_id
            order by bsuid is null, evidence_at, received_at, bsuid
        ) = 1

),

by_phone as (

    select
        portfolio_id,
        message_id,
        node_id,
        unassigned_reason
    from assignments
    qualify
        row_number() over (
            partition by portfolio_id, message_id
            order by node_id is null, evidence_at, received_at, phone
        ) = 1

),

final as (

    select
        by_bsuid.portfolio_id,
        by_bsuid.message_id,
        coalesce({{ bsuid_node('by_bsuid.bsuid') }}, by_phone.node_id) as node_id,
        case
            when by_bsuid.bsuid is not null then null
            when by_phone.node_id is not null then null
            when by_bsuid.is_ignored then 'ignored'
            else coalesce(by_phone.unassigned_reason, 'no_identifier')
        end as unassigned_reason
    from by_bsuid
    left join by_phone using (portfolio_id, message_id)

)

select * from final
