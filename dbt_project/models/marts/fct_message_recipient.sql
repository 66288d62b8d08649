{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
) }}

-- Delivery of a group send to each participant.
with

statuses as (

    select * from {{ ref('int_identity__sighting') }}
    where observation_kind = 'status' and is_group and message_id is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where observation_kind = 'status' and message_id is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}
    {{- unless_quarantined() }}

),

phone_nodes as (

    select
        portfolio_id,
        message_id,
        shown_phone,
        min(node_id) as node_id
    from assignments
    where message_id in (select message_id from statuses)
    group by portfolio_id, message_id, shown_phone

),

identified as (

    select
        statuses.island_id,
        statuses.portfolio_id,
        statuses.message_id,
        coalesce(statuses.bsuid, statuses.phone, 'unknown') as participant_id,
        coalesce({{ bsuid_node('statuses.bsuid') }}, phone_nodes.node_id) as node_id,
        statuses.item_type as status,
        statuses.occurred_at,
        statuses.error_code
    from statuses
    left join phone_nodes
        on statuses.portfolio_id = phone_nodes.portfolio_id
        and statuses.message_id = phone_nodes.message_id
        and statuses.phone = phone_nodes.shown_phone

),

final as (

    select
        min(identified.island_id) as island_id,
        identified.message_id,
        identified.portfolio_id,
        identified.participant_id,
        min(customer_nodes.customer_key) as customer_key,
        min(identified.occurred_at) filter (where identified.status = 'sent') as sent_at,
        min(identified.occurred_at) filter (where identified.status = 'delivered') as delivered_at,
        min(identified.occurred_at) filter (where identified.status = 'read') as read_at,
        min(identified.occurred_at) filter (where identified.status = 'played') as played_at,
        min(identified.occurred_at) filter (where identified.status = 'failed') as failed_at,
        min(identified.error_code) as error_code
    from identified
    left join customer_nodes
        on identified.portfolio_id = customer_nodes.portfolio_id
        and identified.node_id = customer_nodes.node_id
    group by identified.message_id, identified.portfolio_id, identified.participant_id

)

select * from final
