{{ config(materialized='incremental', pre_hook="{{ forget(touched_item('item_id')) }}") }}

-- Deliveries are repeated, by WhatsApp and by every subscribed app. Which copies to leave out is
-- settled here, over all loads, so that the items themselves are only ever appended.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}
    {{- only(touched_item('item_id')) }}

),

keyed as (

    select
        item_kind,
        waba_id,
        item_id,
        case when item_kind = 'status' then item_type end as status,
        coalesce(participant_user_id, participant_id) as participant
    from items
    where item_kind <> 'other' and item_id is not null

),

repeated_keys as (

    select
        item_kind,
        waba_id,
        item_id,
        status,
        participant
    from keyed
    group by item_kind, waba_id, item_id, status, participant
    having count(*) > 1

),

copies as (

    select
        items.load_id,
        items.landing_file,
        items.line_number,
        items.entry_index,
        items.change_index,
        items.list_name,
        items.list_index,
        items.received_at,
        items.item_kind,
        items.waba_id,
        items.item_id,
        repeated_keys.status,
        repeated_keys.participant,
        {{ content_id([
            'items.phone_number_id',
            'items.source_field',
            'items.item_type',
            'items.occurred_at',
            'items.from_id',
            'items.recipient_id',
            'items.user_id',
            'items.parent_user_id',
            'items.contact_wa_id',
            'items.contact_user_id',
            'items.contact_parent_user_id',
            'items.contact_username',
            'items.contact_profile_name',
            'items.identity_key_hash',
            'items.group_id',
            'items.reply_to_message_id',
            'items.original_message_id',
            'items.recipient_type',
            'items.participant_id',
            'items.participant_user_id',
            'items.participant_parent_user_id',
            'items.error_code',
            'items.detail',
        ]) }} as content_hash
    from items
    inner join repeated_keys
        on items.item_id = repeated_keys.item_id
        and items.item_kind = repeated_keys.item_kind
        and items.waba_id is not distinct from repeated_keys.waba_id
        and repeated_keys.status
        is not distinct from case when items.item_kind = 'status' then items.item_type end
        and repeated_keys.participant
        is not distinct from coalesce(items.participant_user_id, items.participant_id)

),

-- The earliest receipt is kept, then the smallest content. Only copies that are equal in everything
-- a model reads are told apart by where they were landed.
ranked as (

    select
        *,
        row_number() over (
            partition by item_kind, waba_id, item_id, status, participant
            order by
                received_at,
                content_hash,
                load_id,
                landing_file,
                line_number,
                entry_index,
                change_index,
                list_name,
                list_index
        ) as copy_number
    from copies

),

final as (

    select
        load_id,
        landing_file,
        line_number,
        entry_index,
        change_index,
        list_name,
        list_index,
        item_kind,
        waba_id,
        item_id,
        copy_number
    from ranked
    where copy_number > 1

)

select * from final
