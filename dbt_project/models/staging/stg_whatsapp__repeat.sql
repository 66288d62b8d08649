{{ config(materialized='incremental', pre_hook="{{ forget('item_id in ' ~ touched_items()) }}") }}

-- Deliveries are repeated, by WhatsApp and by every subscribed app. Which copies to leave out is
-- settled here, over all loads, so that the items themselves are only ever appended.
with

-- Not kept between the two who read it: most of its columns are needed only of what is repeated.
items as not materialized (

    select * from {{ ref('stg_whatsapp__item') }}
    {{- only('item_id in ' ~ touched_items()) }}

),

identified as not materialized (

    select
        *,
        case when item_kind = 'status' then item_type end as status,
        coalesce(participant_user_id, participant_id) as participant
    from items
    where item_kind <> 'other' and item_id is not null

),

hashed as (

    select {{ row_hash('(item_kind, waba_id, item_id, status, participant)') }} as key_hash
    from identified

),

-- Counting numbers instead of ids: two keys with one hash are told apart further on.
repeated as (

    select key_hash
    from hashed
    group by key_hash
    having count(*) > 1

),

copies as (

    select
        load_id,
        landing_file,
        line_number,
        entry_index,
        change_index,
        list_name,
        list_index,
        received_at,
        item_kind,
        waba_id,
        item_id,
        status,
        participant,
        {{ content_id([
            'phone_number_id',
            'source_field',
            'item_type',
            'occurred_at',
            'from_id',
            'recipient_id',
            'user_id',
            'parent_user_id',
            'contact_wa_id',
            'contact_user_id',
            'contact_parent_user_id',
            'contact_username',
            'contact_profile_name',
            'identity_key_hash',
            'group_id',
            'reply_to_message_id',
            'original_message_id',
            'recipient_type',
            'participant_id',
            'participant_user_id',
            'participant_parent_user_id',
            'error_code',
            'detail',
        ]) }} as content_hash
    from identified
    where
        {{ row_hash('(item_kind, waba_id, item_id, status, participant)') }}
        in (select key_hash from repeated)

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
