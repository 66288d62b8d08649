-- Every webhook body is parsed here, once: all other staging models read this table. Messages,
-- echoes and statuses come out flat; what is rare keeps its part of the body in `detail`.
with

webhooks as (

    select * from {{ source('raw', 'webhook') }}

),

parsed as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        {{ json_read('body', webhook_shape()) }} as body
    from webhooks

),

entries as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
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
        *,
        coalesce(len(messages), 0) as message_count,
        coalesce(len(statuses), 0) as status_count,
        coalesce(len(contacts), 0) as contact_count,
        (coalesce(len(messages), 0) + coalesce(len(statuses), 0)) = 0
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
        unnest(range(0, message_count + status_count + if(has_other, 1, 0))) as item_index,
        case when contact_count > 1 then list_transform(contacts, lambda c: c.user_id) end as user_ids,
        case when contact_count > 1 then list_transform(contacts, lambda c: c.wa_id) end as wa_ids
    from counted

),

-- Where an item stands in its body, and whom it is about.
located as (

    select
        load_id,
        landing_file,
        line_number,
        received_at,
        source_field,
        contacts,
        contact_count,
        user_ids,
        wa_ids,
        message,
        status,
        message_count + status_count = 1 as is_alone,
        item_index = 0 as opens_change,
        case when item_index >= message_count + status_count
            then coalesce(value.timestamp, entry_time)
        end as change_timestamp,
        {{ blank_to_null('waba_id') }} as waba_id,
        {{ blank_to_null('value.metadata.phone_number_id') }} as phone_number_id,
        {{ blank_to_null('value.metadata.display_phone_number') }} as display_phone_number,
        case
            when item_index >= message_count + status_count then 'other'
            when item_index >= message_count then 'status'
            when value.message_echoes is null and value.standby is null then 'message'
            when item_index < coalesce(len(value.messages), 0) then 'message'
            when
                item_index
                < coalesce(len(value.messages), 0) + coalesce(len(value.message_echoes), 0)
                then 'echo'
            when
                item_index
                < message_count - coalesce(len(value.standby.message_echoes), 0)
                then 'message'
            else 'echo'
        end as item_kind,
        'entry[' || entry_index || '].changes[' || change_index || '].value'
        || case
            when item_index >= message_count + status_count then ''
            when item_index >= message_count + coalesce(len(value.statuses), 0)
                then '.standby.statuses['
                    || (item_index - message_count - coalesce(len(value.statuses), 0)) || ']'
            when item_index >= message_count
                then '.statuses[' || (item_index - message_count) || ']'
            when item_index < coalesce(len(value.messages), 0)
                then '.messages[' || item_index || ']'
            when
                item_index
                < coalesce(len(value.messages), 0) + coalesce(len(value.message_echoes), 0)
                then '.message_echoes['
                    || (item_index - coalesce(len(value.messages), 0)) || ']'
            when item_index < message_count - coalesce(len(value.standby.message_echoes), 0)
                then '.standby.messages[' || (
                    item_index
                    - coalesce(len(value.messages), 0)
                    - coalesce(len(value.message_echoes), 0)
                ) || ']'
            else
                '.standby.message_echoes[' || (
                    item_index - message_count + coalesce(len(value.standby.message_echoes), 0)
                ) || ']'
        end as json_path,
        case
            when item_index < message_count then item_index + 1 else item_index - message_count + 1
        end as list_position_here,
        case
            when item_index >= message_count + status_count then {{ json_text('value') }}
            when message.system is not null or message.contacts is not null
                then {{ json_text('message') }}
        end as detail
    from listed

),

identified as (

    select
        *,
        {{ blank_to_null('coalesce(message.id, status.id)') }} as item_id,
        {{ blank_to_null('coalesce(message.type, status.status)') }} as item_type,
        {{ epoch_to_timestamp('coalesce(message.timestamp, status.timestamp, change_timestamp)') }} as event_at,
        {{ blank_to_null('message."from"') }} as from_id,
        {{ blank_to_null('coalesce(status.recipient_id, message."to")') }} as recipient_id,
        {{ blank_to_null("case
            when item_kind = 'status' then status.recipient_user_id
            when item_kind = 'echo' then message.to_user_id
            else message.from_user_id
        end") }} as user_id,
        {{ blank_to_null("case
            when item_kind = 'status' then coalesce(
                status.recipient_parent_user_id,
                status.parent_recipient_user_id,
                status.parent_user_id
            )
            when item_kind = 'echo' then message.to_parent_user_id
            else message.from_parent_user_id
        end") }} as parent_user_id,
        {{ blank_to_null('status.recipient_participant_id') }} as participant_id,
        {{ blank_to_null('status.recipient_participant_user_id') }} as participant_user_id,
        {{ blank_to_null('status.recipient_participant_parent_user_id') }}
            as participant_parent_user_id
    from located

),

-- A contact belongs to an item by its ids, never by its place: the user id, else the phone, else it
-- is the only one and nothing speaks against it. The place is only where to look first.
matched as (

    select
        *,
        coalesce(participant_user_id, user_id) as person_user_id,
        case
            when item_kind = 'message' then from_id
            when status.recipient_type = 'group' then participant_id
            else coalesce(participant_id, recipient_id)
        end as person_wa_id,
        case
            when contact_count = 0 or item_kind = 'other' then null
            when contact_count = 1
                then case
                    when contacts[1].user_id = person_user_id then 1
                    when nullif(contacts[1].user_id, '') <> person_user_id then null
                    when contacts[1].wa_id = person_wa_id or is_alone then 1
                    when item_kind <> 'status' and item_type <> 'system' then 1
                end
            when contacts[list_position_here].user_id = person_user_id then list_position_here
            when person_user_id is not null and list_contains(user_ids, person_user_id)
                then list_position(user_ids, person_user_id)
            when
                person_wa_id is not null
                and coalesce(
                    contacts[list_position(wa_ids, person_wa_id)].user_id in ('', person_user_id),
                    true
                )
                then list_position(wa_ids, person_wa_id)
        end as contact_position
    from identified

),

final as (

    select
        load_id,
        landing_file,
        line_number,
        json_path,
        waba_id,
        phone_number_id,
        display_phone_number,
        source_field,
        received_at,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at,
        opens_change,
        item_kind,
        item_id,
        item_type,
        from_id,
        recipient_id,
        user_id,
        parent_user_id,
        {{ blank_to_null('contacts[contact_position].wa_id') }} as contact_wa_id,
        {{ blank_to_null('contacts[contact_position].user_id') }} as contact_user_id,
        {{ blank_to_null('contacts[contact_position].parent_user_id') }} as contact_parent_user_id,
        {{ blank_to_null('contacts[contact_position].profile.username') }} as contact_username,
        {{ blank_to_null('contacts[contact_position].profile.name') }} as contact_profile_name,
        contact_position is not null as has_contact,
        {{ blank_to_null(
            'coalesce(message.identity.hash, contacts[contact_position].identity_key_hash)'
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
        detail
    from matched

)

select * from final
