{{ config(materialized='incremental') }}

-- Every webhook body is parsed here, once: all other staging models read this table. Messages,
-- echoes and statuses come out flat; what is rare keeps its part of the body in `detail`.
with

webhooks as (

    select * from {{ source('raw', 'webhook') }}
    {{- landed_since() }}

),

readable as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        {{ readable_json('body') }} as body_text
    from webhooks

),

parsed as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        body_text,
        {{ json_read('body_text', webhook_shape()) }} as body
    from readable

),

entries as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        body_text,
        unnest(body.entry) as entry,
        generate_subscripts(body.entry, 1) - 1 as entry_index
    from parsed

),

changes as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        body_text,
        entry_index,
        entry.id as waba_id,
        entry.time as entry_time,
        unnest(entry.changes) as change,
        generate_subscripts(entry.changes, 1) - 1 as change_index
    from entries

),

-- Plain, echoed and standby messages are one list, plain and standby statuses another.
gathered as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        body_text,
        waba_id,
        entry_time,
        entry_index,
        change_index,
        change.field as source_field,
        change.value as value,
        case
            when change.value.standby.contacts is null then change.value.contacts
            else list_concat(change.value.contacts, change.value.standby.contacts)
        end as contacts,
        case
            when change.value.message_echoes is null and change.value.standby is null
                then change.value.messages
            else list_concat(
                change.value.messages,
                change.value.message_echoes,
                change.value.standby.messages,
                change.value.standby.message_echoes
            )
        end as messages,
        case
            when change.value.standby is null then change.value.statuses
            else list_concat(change.value.statuses, change.value.standby.statuses)
        end as statuses
    from changes

),

counted as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        source_field,
        body_text,
        {{ blank_to_null('waba_id') }} as waba_id,
        {{ blank_to_null('value.metadata.phone_number_id') }} as phone_number_id,
        {{ blank_to_null('value.metadata.display_phone_number') }} as display_phone_number,
        coalesce(value.timestamp, entry_time) as change_timestamp,
        entry_index,
        change_index,
        messages,
        statuses,
        contacts,
        -- Before the lists are spread over their items: after it, once per item.
        case when len(contacts) > 1 then list_transform(contacts, lambda c: c.user_id) end
            as contact_user_ids,
        case when len(contacts) > 1 then list_transform(contacts, lambda c: c.wa_id) end
            as contact_wa_ids,
        coalesce(len(messages), 0) as message_count,
        coalesce(len(statuses), 0) as status_count,
        coalesce(len(contacts), 0) as contact_count,
        coalesce(len(value.messages), 0) as echoes_from,
        coalesce(len(value.messages), 0) + coalesce(len(value.message_echoes), 0) as standby_from,
        coalesce(len(value.messages), 0)
        + coalesce(len(value.message_echoes), 0)
        + coalesce(len(value.standby.messages), 0) as standby_echoes_from,
        coalesce(len(value.statuses), 0) as standby_statuses_from,
        coalesce(len(messages), len(statuses), 0) = 0
        or value.history is not null
        or value.calls is not null
        or value.groups is not null
        or value.state_sync is not null
        or value.user_preferences is not null
        or value.user_id_update is not null
        or value.event is not null as has_other
    from gathered

),

-- One row per message, then one per status, then one for whatever else the change holds.
listed as (

    select
        * exclude (messages, statuses),
        unnest(messages) as message,
        unnest(
            case
                when message_count = 0 or status_count = 0 then statuses
                else list_concat(list_resize(statuses[1:0], message_count), statuses)
            end
        ) as status,
        unnest(
            range(0, message_count + status_count + case when has_other then 1 else 0 end)
        ) as item_index
    from counted

),

-- Where an item stands in its body.
placed as (

    select
        *,
        item_index - message_count as status_index,
        case
            when item_index >= message_count + status_count then 'other'
            when item_index >= message_count then 'status'
            when item_index < echoes_from then 'message'
            when item_index < standby_from then 'echo'
            when item_index < standby_echoes_from then 'message'
            else 'echo'
        end as item_kind
    from listed

),

identified as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        source_field,
        waba_id,
        phone_number_id,
        display_phone_number,
        entry_index,
        change_index,
        item_kind,
        message,
        status,
        contacts,
        contact_count,
        contact_user_ids,
        contact_wa_ids,
        message_count + status_count = 1 as is_alone,
        case when item_kind = 'status' then status_index else item_index end + 1 as likely_position,
        case
            when item_kind = 'other' then null
            when item_kind = 'status' and status_index < standby_statuses_from then 'statuses'
            when item_kind = 'status' then 'standby.statuses'
            when item_index < echoes_from then 'messages'
            when item_index < standby_from then 'message_echoes'
            when item_index < standby_echoes_from then 'standby.messages'
            else 'standby.message_echoes'
        end as list_name,
        case
            when item_kind = 'other' then null
            when item_kind = 'status' and status_index < standby_statuses_from then status_index
            when item_kind = 'status' then status_index - standby_statuses_from
            when item_index < echoes_from then item_index
            when item_index < standby_from then item_index - echoes_from
            when item_index < standby_echoes_from then item_index - standby_from
            else item_index - standby_echoes_from
        end as list_index,
        item_kind = 'other'
        or message.system is not null
        or message.contacts is not null as has_detail,
        body_text,
        {{ blank_to_null('coalesce(message.id, status.id)') }} as item_id,
        {{ blank_to_null('coalesce(message.type, status.status)') }} as item_type,
        case
            when item_kind = 'other' then change_timestamp
            else coalesce(message.timestamp, status.timestamp)
        end as event_timestamp,
        {{ blank_to_null('message."from"') }} as from_id,
        {{ blank_to_null('coalesce(status.recipient_id, message."to")') }} as recipient_id,
        case
            when item_kind = 'status' then {{ blank_to_null('status.recipient_user_id') }}
            when item_kind = 'echo' then {{ blank_to_null('message.to_user_id') }}
            else {{ blank_to_null('message.from_user_id') }}
        end as user_id,
        case
            when item_kind = 'status'
                then coalesce(
                    {{ blank_to_null('status.recipient_parent_user_id') }},
                    {{ blank_to_null('status.parent_recipient_user_id') }},
                    {{ blank_to_null('status.parent_user_id') }}
                )
            when item_kind = 'echo' then {{ blank_to_null('message.to_parent_user_id') }}
            else {{ blank_to_null('message.from_parent_user_id') }}
        end as parent_user_id,
        -- named otherwise until the end of 2025
        coalesce(
            {{ blank_to_null('status.recipient_participant_id') }},
            {{ blank_to_null('status.participant_recipient_id') }}
        ) as participant_id,
        coalesce(
            {{ blank_to_null('status.recipient_participant_user_id') }},
            {{ blank_to_null('status.participant_recipient_user_id') }}
        ) as participant_user_id,
        coalesce(
            {{ blank_to_null('status.recipient_participant_parent_user_id') }},
            {{ blank_to_null('status.participant_recipient_parent_user_id') }}
        ) as participant_parent_user_id
    from placed

),

people as (

    select
        *,
        {{ epoch_to_timestamp('event_timestamp') }} as event_at,
        coalesce(participant_user_id, user_id) as person_user_id,
        case
            when item_kind = 'message' then from_id
            when status.recipient_type = 'group' then participant_id
            else coalesce(participant_id, recipient_id)
        end as person_wa_id
    from identified

),

-- A contact belongs to an item by its ids, never by its place: the user id, else the phone. The only contact stands in
-- for an item where it names nobody, or where the item is alone too; one without a phone never for an item that shows a
-- phone only: beside it, it is somebody else's.
-- The place is only where to look first.
positioned as (

    select
        *,
        case
            when contact_count = 0 or item_kind = 'other' then null
            when contact_count = 1 then 1
            when contacts[likely_position].user_id = person_user_id then likely_position
            when person_user_id is not null and list_contains(contact_user_ids, person_user_id)
                then list_position(contact_user_ids, person_user_id)
            when person_wa_id is not null then list_position(contact_wa_ids, person_wa_id)
        end as contact_position
    from people

),

candidates as (

    select
        *,
        contacts[contact_position] as candidate
    from positioned

),

matched as (

    select
        *,
        case
            when candidate.user_id = person_user_id then candidate
            when nullif(candidate.user_id, '') <> person_user_id then null
            when candidate.wa_id = person_wa_id then candidate
            when contact_count > 1 then null
            when nullif(candidate.user_id, '') is null and nullif(candidate.wa_id, '') is null
                and nullif(candidate.parent_user_id, '') is null
                then candidate
            when is_alone
                and (nullif(candidate.wa_id, '') is not null or person_wa_id is null or person_user_id is not null)
                then candidate
        end as contact
    from candidates

),

final as (

    select
        load_id,
        landing_file,
        line_number,
        cast(entry_index as integer) as entry_index,
        cast(change_index as integer) as change_index,
        list_name,
        cast(list_index as integer) as list_index,
        waba_id,
        phone_number_id,
        display_phone_number,
        source_field,
        received_at,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at,
        item_kind,
        item_id,
        item_type,
        from_id,
        recipient_id,
        user_id,
        parent_user_id,
        {{ blank_to_null('contact.wa_id') }} as contact_wa_id,
        {{ blank_to_null('contact.user_id') }} as contact_user_id,
        {{ blank_to_null('contact.parent_user_id') }} as contact_parent_user_id,
        {{ blank_to_null('contact.profile.username') }} as contact_username,
        {{ blank_to_null('contact.profile.name') }} as contact_profile_name,
        contact is not null as has_contact,
        {{ blank_to_null(
            'coalesce(message.identity.hash, contact.identity_key_hash, status.recipient_identity_key_hash)'
        ) }} as identity_key_hash,
        {{ blank_to_null('message.group_id') }} as group_id,
        {{ blank_to_null('message.context.id') }} as reply_to_message_id,
        {{ blank_to_null('coalesce(
            message.edit.original_message_id, message.revoke.original_message_id
        )') }} as original_message_id,
        {{ blank_to_null('status.type') }} as status_type,
        {{ blank_to_null('status.recipient_type') }} as recipient_type,
        participant_id,
        participant_user_id,
        participant_parent_user_id,
        try_cast(status.errors[1].code as integer) as error_code,
        {{ blank_to_null('status.pricing.category') }} as pricing_category,
        {{ blank_to_null('status.biz_opaque_callback_data') }} as callback_data,
        {{ blank_to_null('message.referral.ctwa_clid') }} as ctwa_clid,
        case when has_detail then {{ json_part('body_text', item_path()) }} end as detail
    from matched

)

select * from final
