{{ config(materialized='incremental', pre_hook="{{ forget('is_few or message_id in ' ~ touched_items()) }}") }}

-- depends_on: {{ beside('int_identity__outdated') }}
-- Every place a payload shows a person's identifiers, classified by shape, in one form.
with

messages as (

    select * from {{ ref('stg_whatsapp__message') }}
    {{- only_ids('stg_whatsapp__message', 'message_id', touched_items()) }}

),

statuses as not materialized (

    select * from {{ ref('stg_whatsapp__status') }}
    {{- only_ids('stg_whatsapp__status', 'message_id', touched_items()) }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

change_copies as (

    select * from {{ ref('int_identity__change_copy') }}

),

system_messages as (

    select * from {{ ref('stg_whatsapp__system_message') }}
    where system_type = 'customer_identity_changed'

),

shared_contacts as (

    select * from {{ ref('stg_whatsapp__shared_contact') }}
    {{- only_ids('stg_whatsapp__shared_contact', 'message_id', touched_items()) }}

),

preferences as (

    select * from {{ ref('stg_whatsapp__user_preference') }}

),

echoes as (

    select * from {{ ref('stg_whatsapp__message_echo') }}
    {{- only_ids('stg_whatsapp__message_echo', 'message_id', touched_items()) }}

),

history_messages as (

    select * from {{ ref('stg_whatsapp__history_message') }}

),

synced_contacts as (

    select * from {{ ref('stg_whatsapp__state_sync') }}

),

calls as (

    select * from {{ ref('stg_whatsapp__call') }}

),

call_statuses as (

    select * from {{ ref('stg_whatsapp__call_status') }}

),

participants as (

    select * from {{ ref('stg_whatsapp__group_participant') }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

never_a_person as (

    select * from {{ ref('int_identity__never_a_person') }}

),

message_sightings as (

    select
        waba_id, phone_number_id, event_id, message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'message' as observation_kind,
        'inbound' as direction,
        1 as tier,
        {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['from_id', 'contact_wa_id', 'from_user_id', 'contact_user_id']) }} as phone,
        {{ parent_bsuid_of(['from_parent_user_id', 'contact_parent_user_id', 'from_user_id', 'contact_user_id']) }} as parent_bsuid,
        {{ malformed_of(['from_user_id', 'contact_user_id', 'from_id', 'contact_wa_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        false as is_failed
    from messages

),

first_statuses as (

    select
        waba_id,
        message_id,
        min(occurred_at) as first_status_at
    from statuses
    group by waba_id, message_id

),

-- A pairing in a status is dated at its message's first status.
status_sightings as (

    select
        statuses.waba_id, phone_number_id, event_id, statuses.message_id, source_field,
        received_at, occurred_at,
        coalesce(first_status_at, occurred_at) as evidence_at,
        evidence_at as seen_at,
        'status' as observation_kind,
        'outbound' as direction,
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
        status,
        status = 'failed' as is_failed,
        -- 131026: nobody on WhatsApp could be reached under this number
        status = 'failed' and error_code = 131026 as is_undeliverable
    from statuses
    left join first_statuses
        on statuses.waba_id = first_statuses.waba_id
        and statuses.message_id = first_statuses.message_id

),

shared_sightings as (

    select
        waba_id, phone_number_id, event_id, message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'shared_contact' as observation_kind,
        'none' as direction,
        2 as tier,
        {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        -- WhatsApp attests the number, so its E.164 is as good as the wa_id it left out
        case
            when phone_wa_id is null then e164_digits(shared_contacts.phone)
            else {{ phone_of(['phone_wa_id']) }}
        end as phone,
        null as parent_bsuid,
        null as username,
        null as profile_name,
        false as has_contact,
        false as is_failed
    from shared_contacts
    where origin = 'contact_request'

),

preference_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'preference' as observation_kind,
        'inbound' as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'contact_user_id', 'wa_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['wa_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        false as is_failed
    from preferences

),

echo_sightings as (

    select
        waba_id, phone_number_id, event_id, message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'echo' as observation_kind,
        'outbound' as direction,
        1 as tier,
        {{ bsuid_of(['to_user_id', 'contact_user_id', 'to_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['to_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['to_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        {{ malformed_of(['to_user_id', 'contact_user_id', 'to_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        has_contact,
        false as is_failed
    from echoes

),

history_sightings as (

    select
        waba_id, phone_number_id, event_id, message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'history' as observation_kind,
        if(is_from_business, 'outbound', 'inbound') as direction,
        1 as tier,
        {{ bsuid_of(['thread_user_id', 'from_user_id', 'thread_wa_id', 'thread_id']) }} as bsuid,
        case
            when is_from_business then {{ phone_of(['thread_wa_id', 'thread_id', 'to_id']) }}
            else {{ phone_of(['thread_wa_id', 'thread_id', 'from_id']) }}
        end as phone,
        {{ parent_bsuid_of(['thread_parent_user_id', 'from_parent_user_id']) }} as parent_bsuid,
        thread_username as username,
        null as profile_name,
        false as has_contact,
        false as is_failed
    from history_messages

),

-- Names in a synced address book are the business's own and never a profile name.
synced_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'state_sync' as observation_kind,
        'none' as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'wa_id']) }} as bsuid,
        {{ phone_of(['wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        username,
        null as profile_name,
        false as has_contact,
        false as is_failed
    from synced_contacts

),

call_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'call' as observation_kind,
        if(is_user_call, 'inbound', 'outbound') as direction,
        1 as tier,
        case
            when not is_user_call
                then {{ bsuid_of(['to_user_id', 'contact_user_id', 'to_id', 'contact_wa_id']) }}
            else {{ bsuid_of(['from_user_id', 'from_id', 'contact_user_id', 'contact_wa_id']) }}
        end as bsuid,
        case
            when not is_user_call then {{ phone_of(['to_id', 'contact_wa_id']) }}
            else {{ phone_of(['from_id', 'contact_wa_id']) }}
        end as phone,
        {{ parent_bsuid_of(['from_parent_user_id', 'to_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        {{ malformed_of(['from_user_id', 'to_user_id', 'from_id', 'to_id']) }} as malformed_value,
        contact_username as username,
        contact_profile_name as profile_name,
        false as has_contact,
        false as is_failed
    from (
        select
            *,
            direction = 'USER_INITIATED' or from_user_id is not null as is_user_call
        from calls
    )

),

call_status_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at,
        min(occurred_at) over (partition by waba_id, call_id) as evidence_at,
        evidence_at as seen_at,
        'call_status' as observation_kind,
        'outbound' as direction,
        1 as tier,
        {{ bsuid_of(['recipient_user_id', 'recipient_id', 'contact_user_id', 'contact_wa_id']) }} as bsuid,
        {{ phone_of(['recipient_id', 'contact_wa_id']) }} as phone,
        {{ parent_bsuid_of(['recipient_parent_user_id', 'contact_parent_user_id']) }} as parent_bsuid,
        contact_username as username,
        contact_profile_name as profile_name,
        false as has_contact,
        status,
        false as is_failed
    from call_statuses

),

-- A removal by the business names people only as the business typed them: no evidence.
participant_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'group_participant' as observation_kind,
        if(participant_event = 'group_participants_remove', 'none', 'inbound') as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'wa_id']) }} as bsuid,
        {{ phone_of(['wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        username,
        null as profile_name,
        false as has_contact,
        false as is_failed
    from participants

),

-- A changed key still shows who is on the phone, without an act of theirs.
identity_sightings as (

    select
        waba_id, phone_number_id, event_id, null as message_id, source_field,
        received_at, occurred_at, evidence_at, evidence_at as seen_at,
        'identity_changed' as observation_kind,
        'none' as direction,
        1 as tier,
        {{ bsuid_of(['user_id', 'from_id']) }} as bsuid,
        {{ phone_of(['from_id', 'customer', 'wa_id']) }} as phone,
        {{ parent_bsuid_of(['parent_user_id']) }} as parent_bsuid,
        null as username,
        null as profile_name,
        false as has_contact,
        false as is_failed
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

-- R2: every copy of a change shows the BSUIDs it names.
named_sightings as (

    select
        portfolio_id, waba_id, phone_number_id, event_id, received_at,
        evidence_at as occurred_at, evidence_at, evidence_at as seen_at,
        'change_from' as observation_kind,
        'inbound' as direction,
        1 as tier,
        coalesce(old_bsuid, body_old_bsuid) as bsuid,
        old_parent_bsuid as parent_bsuid,
        null as username,
        null as profile_name
    from change_copies
    where coalesce(old_bsuid, body_old_bsuid) is not null
    union all
    select
        portfolio_id, waba_id, phone_number_id, event_id, received_at,
        evidence_at as occurred_at, evidence_at, evidence_at as seen_at,
        'change_to' as observation_kind,
        'inbound' as direction,
        1 as tier,
        new_bsuid as bsuid,
        new_parent_bsuid as parent_bsuid,
        username,
        profile_name
    from change_copies
    where new_bsuid is not null

),

-- The change itself pairs the old phone just before it and the new phone at it.
paired_sightings as (

    select
        portfolio_id, event_id, received_at,
        changed_at as occurred_at,
        changed_at - interval 1 microsecond as evidence_at,
        changed_at - interval 1 microsecond as seen_at,
        'change_from_pair' as observation_kind,
        'inbound' as direction,
        1 as tier,
        old_bsuid as bsuid,
        old_phone as phone
    from changes
    where old_bsuid is not null and old_phone is not null
    union all
    select
        portfolio_id, event_id, received_at,
        changed_at as occurred_at,
        changed_at as evidence_at,
        changed_at as seen_at,
        'change_to_pair' as observation_kind,
        'inbound' as direction,
        1 as tier,
        new_bsuid as bsuid,
        new_phone as phone
    from changes
    where new_bsuid is not null and new_phone is not null

),

with_changes as (

    select * from in_portfolio
    union all by name
    select * from named_sightings
    union all by name
    select * from paired_sightings

),

final as (

    select
        with_changes.portfolio_id,
        with_changes.waba_id,
        with_changes.phone_number_id,
        with_changes.event_id,
        with_changes.message_id,
        with_changes.observation_kind,
        with_changes.source_field,
        with_changes.received_at,
        with_changes.occurred_at,
        with_changes.evidence_at,
        with_changes.seen_at,
        with_changes.direction,
        with_changes.tier,
        case when ignored_bsuid.reason is null then with_changes.bsuid end as bsuid,
        case when ignored_phone.reason is null then with_changes.phone end as phone,
        with_changes.parent_bsuid,
        {{ normalised_username('with_changes.username') }} as username,
        with_changes.profile_name,
        with_changes.malformed_value,
        coalesce(with_changes.has_contact, false) as has_contact,
        with_changes.observation_kind in ('status', 'call_status') as is_status,
        coalesce(with_changes.is_failed, false) as is_failed,
        coalesce(with_changes.is_undeliverable, false) as is_undeliverable,
        -- how far a contact came: somebody on the other side acted, got or answered it, or it was only sent
        case
            when with_changes.direction = 'inbound' then 'reached'
            when with_changes.is_failed then 'failed'
            when lower(with_changes.status) in ('delivered', 'read', 'played', 'accepted') then 'reached'
            when with_changes.direction = 'outbound' then 'sent'
        end as reach,
        ignored_bsuid.reason is not null or ignored_phone.reason is not null as is_ignored,
        -- of a kind without an id that tells which to read again: a run that adds reads all of them
        with_changes.observation_kind not in ('message', 'status', 'echo', 'shared_contact')
        or with_changes.message_id is null as is_few
    from with_changes
    left join never_a_person as ignored_bsuid
        on with_changes.portfolio_id = ignored_bsuid.portfolio_id
        and with_changes.bsuid = ignored_bsuid.identifier_value
    left join never_a_person as ignored_phone
        on with_changes.portfolio_id = ignored_phone.portfolio_id
        and with_changes.phone = ignored_phone.identifier_value

)

select * from final
