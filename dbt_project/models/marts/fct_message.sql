{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
) }}

-- The conversation history, whole across the change of identifiers.
with

messages as (

    select * from {{ ref('int_message__message') }}

),

owners as (

    select * from {{ ref('int_message__owner') }}

),

quarantine as (

    select * from {{ ref('int_identity__quarantine') }}

),

final as (

    select
        messages.island_id,
        messages.message_id,
        messages.portfolio_id,
        messages.waba_id,
        messages.phone_number_id,
        case
            when messages.is_group and messages.direction = 'outbound' then null
            when quarantine.island_id is not null then null
            else owners.customer_key
        end as customer_key,
        case
            when messages.is_group and messages.direction = 'outbound' then 'group_send'
            when quarantine.island_id is not null then 'quarantined'
            else owners.unassigned_reason
        end as unassigned_reason,
        messages.direction,
        messages.message_type,
        messages.source_field,
        messages.is_group,
        messages.occurred_at,
        messages.sent_at,
        messages.delivered_at,
        messages.read_at,
        messages.played_at,
        messages.failed_at,
        messages.error_code,
        messages.edited_at,
        messages.revoked_at,
        messages.reply_to_message_id,
        case
            when messages.direction = 'inbound' then null
            when messages.played_at is not null then 'played'
            when messages.read_at is not null then 'read'
            when messages.delivered_at is not null then 'delivered'
            when messages.failed_at is not null then 'failed'
            when messages.sent_at is not null then 'sent'
        end as delivery_status,
        messages.pricing_category,
        messages.ctwa_clid,
        messages.callback_data
    from messages
    left join owners
        on messages.portfolio_id = owners.portfolio_id
        and messages.message_id = owners.message_id
    left join quarantine on messages.island_id = quarantine.island_id

)

select * from final
