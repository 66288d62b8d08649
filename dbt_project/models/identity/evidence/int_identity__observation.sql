{{ config(materialized='incremental') }}

-- Every place a payload shows a person's identifiers, classified by shape, in one form. Every delivery of an event
-- is here: which of several copies counts is settled among all copies, in int_identity__sighting.
with

messages as (

    select * from {{ ref('stg_whatsapp__message') }}
    {{- landed_since() }}

),

statuses as (

    select * from {{ ref('stg_whatsapp__status') }}
    {{- landed_since() }}

),

change_copies as (

    select * from {{ ref('int_identity__change_copy') }}
    {{- landed_since() }}

),

system_messages as (

    select * from {{ ref('stg_whatsapp__system_message') }}
    where system_type in ('customer_identity_changed', 'user_identity_changed')
    {{- landed_since('and') }}

),

shared_contacts as (

    select * from {{ ref('stg_whatsapp__shared_contact') }}
    {{- landed_since() }}

),

preferences as (

    select * from {{ ref('stg_whatsapp__user_preference') }}
    {{- landed_since() }}

),

echoes as (

    select * from {{ ref('stg_whatsapp__message_echo') }}
    {{- landed_since() }}

),

history_messages as (

    select * from {{ ref('stg_whatsapp__history_message') }}
    {{- landed_since() }}

),

synced_contacts as (

    select * from {{ ref('stg_whatsapp__state_sync') }}
    {{- landed_since() }}

),

calls as (

    select * from {{ ref('stg_whatsapp__call') }}
    {{- landed_since() }}

),

call_statuses as (

    select * from {{ ref('stg_whatsapp__call_status') }}
    {{- landed_since() }}

),

participants as (

    select * from {{ ref('stg_whatsapp__group_participant') }}
    {{- landed_since() }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

never_a_person as (

    select * from {{ ref('int_identity__never_a_person') }}

),

-- Inbound unless the business's own number wrote it.
message_sightings as (

    select
        {{ event_columns() }},
        message_id,
        evidence_at,
        'message' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['from_id', 'contact_wa_id', 'from_user_id', 'contact_user_id']) }} as phone,
        {{ parent_bsuid_of(['from_parent_user_id', 'contact_parent_user_id', 'from_user_id', 'contact_user_id']) }} as parent_bsuid,
        {{ malformed_of(['from_user_id', 'contact_user_id', 'from_id', 'contact_wa_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        message_type as item_type,
        from_id = {{ digits_of('display_phone_number') }} as is_from_business,
        group_id is not null as is_group,
        reply_to_message_id,
        original_message_id,
        ctwa_clid,
        identity_key_hash
    from messages

),

-- Dated at its message's first status, of a group at the participant's first: see int_identity__sighting.
status_sightings as (

    select
        {{ event_columns() }},
        message_id,
        evidence_at,
        'status' as observation_kind,
        'outbound' as direction,
        case
            when status in ('delivered', 'read', 'played') then 'reached'
            when status = 'sent' then 'sent'
            when status = 'failed' then 'failed'
        end as reach,
        1 as tier,
        case
            when is_group
                then {{ bsuid_of(['recipient_participant_user_id', 'recipient_participant_id', 'contact_user_id']) }}
            else {{ bsuid_of(['recipient_user_id', 'recipient_id', 'contact_user_id', 'contact_wa_id']) }}
        end as bsuid,
        case
            when is_group
                then {{ phone_of(['recipient_participant_id', 'contact_wa_id']) }}
            else {{ phone_of(['recipient_id', 'contact_wa_id', 'recipient_user_id', 'contact_user_id']) }}
        end as phone,
        {{ parent_bsuid_of(['recipient_parent_user_id', 'recipient_participant_parent_user_id', 'contact_parent_user_id', 'recipient_user_id']) }} as parent_bsuid,
        {{ malformed_of(['recipient_user_id', 'recipient_participant_user_id', 'contact_user_id', 'contact_wa_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        status as item_type,
        coalesce(recipient_participant_user_id, recipient_participant_id) as part,
        is_group,
        error_code,
        pricing_category,
        callback_data
    from statuses

),

-- The number of a contact_request is the sender's own; without a wa_id only one in international form says whose.
shared_sightings as (

    select
        {{ event_columns() }},
        message_id,
        evidence_at,
        'shared_contact' as observation_kind,
        'none' as direction,
        2 as tier,
        {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        -- WhatsApp attests the number, so its E.164 is as good as the wa_id it left out
        case
            when phone_wa_id is null then e164_digits(shared_contacts.phone)
            else {{ phone_of(['phone_wa_id']) }}
        end as phone,
        cast(contact_index * 1000 + phone_index as varchar) as part
    from shared_contacts
    where origin = 'contact_request'

),

preference_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'preference' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        {{ bsuid_of(['user_id', 'contact_user_id', 'wa_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['wa_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        if(category = 'marketing_messages' and preference in ('stop', 'resume'), preference, null)
            as item_type
    from preferences

),

echo_sightings as (

    select
        {{ event_columns() }},
        message_id,
        evidence_at,
        'echo' as observation_kind,
        'outbound' as direction,
        'sent' as reach,
        1 as tier,
        {{ bsuid_of(['to_user_id', 'contact_user_id', 'to_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['to_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['to_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        {{ malformed_of(['to_user_id', 'contact_user_id', 'to_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        message_type as item_type,
        true as is_from_business,
        reply_to_message_id,
        original_message_id
    from echoes

),

history_sightings as (

    select
        {{ event_columns() }},
        message_id,
        evidence_at,
        'history' as observation_kind,
        if(is_from_business, 'outbound', 'inbound') as direction,
        if(is_from_business and coalesce(upper(history_status), '') not in ('DELIVERED', 'READ', 'PLAYED'), 'sent', 'reached') as reach,
        1 as tier,
        {{ bsuid_of(['thread_user_id', 'from_user_id', 'thread_wa_id', 'thread_id']) }} as bsuid,
        case
            when is_from_business then {{ phone_of(['thread_wa_id', 'thread_id', 'to_id']) }}
            else {{ phone_of(['thread_wa_id', 'thread_id', 'from_id']) }}
        end as phone,
        {{ parent_bsuid_of(['thread_parent_user_id', 'from_parent_user_id']) }} as parent_bsuid,
        thread_username as username,
        message_type as item_type,
        is_from_business
    from history_messages

),

-- Names in a synced address book are the business's own and never a profile name.
synced_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'state_sync' as observation_kind,
        'none' as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'wa_id']) }} as bsuid,
        {{ phone_of(['wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        username
    from synced_contacts

),

call_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'call' as observation_kind,
        if(is_user_call, 'inbound', 'outbound') as direction,
        if(is_user_call or is_answered, 'reached', 'sent') as reach,
        1 as tier,
        if(
            is_user_call,
            {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }},
            {{ bsuid_of(['to_user_id', 'contact_user_id', 'to_id', 'contact_wa_id']) }}
        ) as bsuid,
        if(
            is_user_call,
            {{ phone_of(['from_id', 'contact_wa_id']) }},
            {{ phone_of(['to_id', 'contact_wa_id']) }}
        ) as phone,
        {{ parent_bsuid_of(['from_parent_user_id', 'to_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        {{ malformed_of(['from_user_id', 'to_user_id', 'from_id', 'to_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        call_event as item_type
    from calls

),

call_status_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'call_status' as observation_kind,
        'outbound' as direction,
        if(upper(status) = 'ACCEPTED', 'reached', 'sent') as reach,
        1 as tier,
        {{ bsuid_of(['recipient_user_id', 'recipient_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['recipient_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['recipient_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        contact_username as username,
        contact_profile_name as profile_name,
        status as item_type
    from call_statuses

),

-- A removal by the business names people only as the business typed them: no evidence.
participant_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'group_participant' as observation_kind,
        if(regexp_matches(participant_event, '_(add|created)$'), 'inbound', 'none') as direction,
        if(regexp_matches(participant_event, '_(add|created)$'), 'reached', null) as reach,
        1 as tier,
        {{ bsuid_of(['user_id', 'wa_id']) }} as bsuid,
        {{ phone_of(['wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        username
    from participants

),

-- A changed key still shows who is on the phone, without an act of theirs.
identity_sightings as (

    select
        {{ event_columns() }},
        evidence_at,
        'identity_changed' as observation_kind,
        'none' as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'from_id']) }} as bsuid,
        {{ phone_of(['from_id', 'customer', 'wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        identity_hash as identity_key_hash
    from system_messages

),

unioned as (

    select * from message_sightings
    union all by name
    select * from status_sightings
    union all by name
    select * from shared_sightings
    union all by name
    select * from preference_sightings
    union all by name
    select * from echo_sightings
    union all by name
    select * from history_sightings
    union all by name
    select * from synced_sightings
    union all by name
    select * from call_sightings
    union all by name
    select * from call_status_sightings
    union all by name
    select * from participant_sightings
    union all by name
    select * from identity_sightings

),

in_portfolio as (

    select
        {{ portfolio_id_of('accounts', 'unioned') }} as portfolio_id,
        unioned.*
    from unioned
    left join accounts on {{ owned_at('accounts', 'unioned') }}

),

-- R2: a change shows the BSUIDs it names.
named_sightings as (

    select
        load_id, landing_file, line_number,
        portfolio_id, waba_id, phone_number_id, event_id, received_at,
        evidence_at as occurred_at,
        evidence_at,
        'change_from' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        coalesce(old_bsuid, body_old_bsuid) as bsuid,
        old_parent_bsuid as parent_bsuid,
        null as username,
        null as profile_name
    from change_copies
    where coalesce(old_bsuid, body_old_bsuid) is not null
    union all
    select
        load_id, landing_file, line_number,
        portfolio_id, waba_id, phone_number_id, event_id, received_at,
        evidence_at as occurred_at,
        evidence_at,
        'change_to' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        new_bsuid as bsuid,
        new_parent_bsuid as parent_bsuid,
        username,
        profile_name
    from change_copies
    where new_bsuid is not null

),

with_changes as (

    select * from in_portfolio
    union all by name
    select * from named_sightings

),

-- Own numbers are found out as they come: they are taken out when sightings are made, not here.
named as (

    select
        with_changes.*,
        {{ normalised_username('with_changes.username') }} as worn_username,
        coalesce(
            if(ignored_bsuid.reason is null, with_changes.bsuid, null),
            if(ignored_phone.reason is null, with_changes.phone, null),
            with_changes.parent_bsuid,
            worn_username
        ) as anchor
    from with_changes
    left join never_a_person as ignored_bsuid
        on with_changes.portfolio_id = ignored_bsuid.portfolio_id
        and with_changes.bsuid = ignored_bsuid.identifier_value
    left join never_a_person as ignored_phone
        on with_changes.portfolio_id = ignored_phone.portfolio_id
        and with_changes.phone = ignored_phone.identifier_value

),

final as (

    select
        load_id,
        landing_file,
        line_number,
        portfolio_id,
        waba_id,
        phone_number_id,
        event_id,
        message_id,
        part,
        observation_kind,
        source_field,
        received_at,
        occurred_at,
        evidence_at,
        direction,
        reach,
        tier,
        bsuid,
        phone,
        parent_bsuid,
        worn_username as username,
        profile_name,
        malformed_value,
        coalesce(has_contact, false) as has_contact,
        item_type,
        coalesce(is_from_business, false) as is_from_business,
        coalesce(is_group, false) as is_group,
        reply_to_message_id,
        original_message_id,
        error_code,
        pricing_category,
        callback_data,
        ctwa_clid,
        identity_key_hash,
        {{ row_key(['portfolio_id', 'observation_kind', 'event_id', 'part', "if(observation_kind in ('status', 'call', 'call_status'), item_type, null)"]) }}
            as event_key,
        {{ identifier_key('portfolio_id', "coalesce(message_id, event_id)") }} as message_key,
        {{ identifier_key('portfolio_id', "coalesce(anchor, message_id, event_id)") }} as anchor_key
    from named

)

select * from final
