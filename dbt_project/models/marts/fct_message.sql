{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget('message_id in ' ~ ids_of('int_identity__rekeyed_message'), keep='customer_key') }}",
) }}

-- The conversation history, whole across the change of identifiers.
with

messages as (

    select * from {{ ref('int_whatsapp__message') }}
    {{- only('message_id in ' ~ ids_of('int_identity__rekeyed_message')) }}

),

message_nodes as (

    select * from {{ ref('int_identity__message_node') }}
    {{- only('message_id in ' ~ ids_of('int_identity__rekeyed_message')) }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

final as (

    select
        messages.message_id,
        messages.portfolio_id,
        messages.waba_id,
        messages.phone_number_id,
        case when not (messages.is_group and messages.direction = 'outbound')
            then customer_nodes.customer_key end as customer_key,
        case
            when messages.is_group and messages.direction = 'outbound' then 'group_send'
            when customer_nodes.customer_key is null
                then coalesce(message_nodes.unassigned_reason, 'no_identifier')
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
        messages.reply_to_message_id
    from messages
    left join message_nodes
        on messages.portfolio_id = message_nodes.portfolio_id
        and messages.message_id = message_nodes.message_id
    left join customer_nodes
        on message_nodes.portfolio_id = customer_nodes.portfolio_id
        and message_nodes.node_id = customer_nodes.node_id

)

select * from final
