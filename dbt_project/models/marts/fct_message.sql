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

    select * from {{ ref('int_customer__quarantine') }}

),

published as (

    select * from messages
    where island_id not in (select island_id from quarantine)

),

-- What breaks an invariant may be there twice, or be two customers'.
set_aside as (

    select * from messages
    where island_id in (select island_id from quarantine)
    qualify row_number() over (partition by portfolio_id, message_id order by occurred_at, waba_id) = 1

),

owned as (

    select
        published.*,
        owners.customer_key,
        owners.unassigned_reason
    from published
    left join owners
        on published.portfolio_id = owners.portfolio_id
        and published.message_id = owners.message_id
    union all by name
    select
        *,
        'quarantined' as unassigned_reason
    from set_aside

),

final as (

    select
        island_id,
        message_id,
        portfolio_id,
        waba_id,
        phone_number_id,
        case
            when is_group and direction = 'outbound' then null
            else customer_key
        end as customer_key,
        case
            when is_group and direction = 'outbound' then 'group_send'
            else unassigned_reason
        end as unassigned_reason,
        direction,
        message_type,
        source_field,
        is_group,
        occurred_at,
        sent_at,
        delivered_at,
        read_at,
        played_at,
        failed_at,
        error_code,
        edited_at,
        revoked_at,
        reply_to_message_id,
        case
            when direction = 'inbound' then null
            when played_at is not null then 'played'
            when read_at is not null then 'read'
            when delivered_at is not null then 'delivered'
            when failed_at is not null then 'failed'
            when sent_at is not null then 'sent'
        end as delivery_status,
        pricing_category,
        ctwa_clid,
        callback_data
    from owned

)

select * from final
