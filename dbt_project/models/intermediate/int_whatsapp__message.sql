{{ config(materialized='incremental', pre_hook="{{ forget('message_id in ' ~ touched_items()) }}") }}

-- A message (wamid) once, from whatever shows it: inbound, echo, history or only its statuses. What shows none is
-- evidence of who wrote, but no message: nothing could tell it from another.
with

messages as (

    select * from {{ ref('stg_whatsapp__message') }}
    where message_id is not null
    {{- only('message_id in ' ~ touched_items(), 'and') }}

),

echoes as (

    select * from {{ ref('stg_whatsapp__message_echo') }}
    where message_id is not null
    {{- only('message_id in ' ~ touched_items(), 'and') }}

),

history_messages as (

    select * from {{ ref('stg_whatsapp__history_message') }}
    where message_id is not null
    {{- only('message_id in ' ~ touched_items(), 'and') }}

),

statuses as (

    select * from {{ ref('stg_whatsapp__status') }}
    where message_id is not null
    {{- only('message_id in ' ~ touched_items(), 'and') }}

),

edits as (

    select * from {{ ref('stg_whatsapp__message') }}
    where original_message_id is not null
    {{- only('original_message_id in ' ~ touched_items(), 'and') }}

),

echo_edits as (

    select * from {{ ref('stg_whatsapp__message_echo') }}
    where original_message_id is not null
    {{- only('original_message_id in ' ~ touched_items(), 'and') }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

-- Messages whose sender is the business's own number are the business's.
shown as (

    select
        waba_id, message_id, phone_number_id, received_at, occurred_at, evidence_at,
        source_field, message_type, reply_to_message_id,
        group_id is not null as is_group,
        if(from_id = regexp_replace(display_phone_number, '[^0-9]', '', 'g'), 'outbound', 'inbound') as direction,
        1 as precedence
    from messages
    where coalesce(message_type, '') not in ('edit', 'revoke')
    union all
    select
        waba_id, message_id, phone_number_id, received_at, occurred_at, evidence_at,
        source_field, message_type, reply_to_message_id,
        false as is_group,
        'outbound' as direction,
        2 as precedence
    from echoes
    where coalesce(message_type, '') not in ('edit', 'revoke')
    union all
    select
        waba_id, message_id, phone_number_id, received_at, occurred_at, evidence_at,
        source_field, message_type, null as reply_to_message_id,
        false as is_group,
        if(is_from_business, 'outbound', 'inbound') as direction,
        3 as precedence
    from history_messages

),

first_shown as (

    select *
    from shown
    qualify row_number() over (
        partition by waba_id, message_id order by precedence, received_at, occurred_at
    ) = 1

),

deliveries as (

    select
        waba_id,
        message_id,
        min(phone_number_id) as phone_number_id,
        min(received_at) as received_at,
        min(occurred_at) as occurred_at,
        min(evidence_at) as evidence_at,
        min(source_field) as source_field,
        bool_or(is_group) as is_group,
        min(occurred_at) filter (where status = 'sent') as sent_at,
        min(occurred_at) filter (where status = 'delivered') as delivered_at,
        min(occurred_at) filter (where status = 'read') as read_at,
        min(occurred_at) filter (where status = 'played') as played_at,
        min(occurred_at) filter (where status = 'failed') as failed_at,
        min(error_code) as error_code
    from statuses
    group by all

),

changed_later as (

    select
        waba_id,
        original_message_id as message_id,
        min(occurred_at) filter (where message_type = 'edit') as edited_at,
        min(occurred_at) filter (where message_type = 'revoke') as revoked_at
    from (
        select waba_id, original_message_id, message_type, occurred_at from edits
        union all
        select waba_id, original_message_id, message_type, occurred_at from echo_edits
    )
    where message_type in ('edit', 'revoke')
    group by all

),

joined as (

    select
        waba_id,
        message_id,
        coalesce(first_shown.phone_number_id, deliveries.phone_number_id) as phone_number_id,
        least(first_shown.received_at, deliveries.received_at) as received_at,
        coalesce(first_shown.occurred_at, deliveries.occurred_at) as occurred_at,
        coalesce(first_shown.evidence_at, deliveries.evidence_at) as evidence_at,
        coalesce(first_shown.source_field, deliveries.source_field) as source_field,
        first_shown.message_type,
        first_shown.reply_to_message_id,
        coalesce(first_shown.direction, 'outbound') as direction,
        coalesce(first_shown.is_group, false) or coalesce(deliveries.is_group, false) as is_group,
        deliveries.sent_at,
        deliveries.delivered_at,
        deliveries.read_at,
        deliveries.played_at,
        deliveries.failed_at,
        deliveries.error_code
    from first_shown
    full outer join deliveries using (waba_id, message_id)

),

final as (

    select
        {{ portfolio_id_of('accounts', 'joined') }} as portfolio_id,
        joined.*,
        changed_later.edited_at,
        changed_later.revoked_at
    from joined
    left join accounts on {{ owned_at('accounts', 'joined') }}
    left join changed_later
        on joined.waba_id = changed_later.waba_id
        and joined.message_id = changed_later.message_id
    {{- only('joined.message_id in ' ~ touched_items()) }}

)

select * from final
