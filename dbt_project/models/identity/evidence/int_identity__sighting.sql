-- The observations of the islands that this run works out, each event once, dated and without those who are nobody.
-- "Work out" begins here: whatever comes after sees these islands and no other.
with

observations as (

    select * from {{ ref('int_identity__observation') }}

),

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

never_a_person as (

    select * from {{ ref('int_identity__never_a_person') }}

),

deliveries as (

    select
        observations.*,
        islands.island_id
    from observations
    inner join islands on observations.anchor_key = islands.identifier_key

),

-- Deliveries are repeated, by WhatsApp and by every subscribed app. Only what is repeated needs to be ranked.
repeated as (

    select event_key
    from deliveries
    group by event_key
    having count(*) > 1

),

-- The earliest receipt counts; of copies received together the smallest content.
first_copies as (

    select deliveries.*
    from deliveries
    inner join repeated using (event_key)
    qualify
        row_number() over (
            partition by portfolio_id, observation_kind, event_id, part, if(observation_kind in ('status', 'call', 'call_status'), item_type, null)
            order by
                received_at,
                {{ row_key([
                    'waba_id', 'phone_number_id', 'source_field', 'occurred_at', 'direction', 'reach', 'bsuid', 'phone',
                    'parent_bsuid', 'username', 'profile_name', 'malformed_value', 'has_contact', 'item_type',
                    'is_group', 'reply_to_message_id', 'original_message_id', 'error_code', 'pricing_category',
                    'callback_data', 'ctwa_clid', 'identity_key_hash',
                ]) }}
        ) = 1

),

events as (

    select * from deliveries
    anti join repeated using (event_key)
    union all by name
    select * from first_copies

),

-- A late `read` must neither take a number back nor look like new life on it: a status counts as of the first one of
-- its message, in a group of its participant.
first_statuses as (

    select
        message_key,
        if(is_group, part, null) as participant,
        min(occurred_at) as first_status_at
    from events
    where observation_kind = 'status'
    group by message_key, if(is_group, part, null)

),

-- Equalities alone: with a condition on the events beside them DuckDB compares each event with each status.
dated as (

    select
        events.* replace (
            coalesce(first_statuses.first_status_at, events.evidence_at) as evidence_at
        ),
        events.evidence_at as seen_at
    from events
    left join first_statuses
        on if(events.observation_kind = 'status', events.message_key, null) = first_statuses.message_key
        and if(events.is_group, events.part, null) is not distinct from first_statuses.participant

),

-- R2: the change itself pairs the old phone just before it and the new phone at it.
paired as (

    select
        island_id, portfolio_id, waba_id, event_id, received_at,
        changed_at as occurred_at,
        changed_at - interval 1 microsecond as evidence_at,
        'change_from_pair' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        old_bsuid as bsuid,
        old_phone as phone
    from changes
    where old_bsuid is not null and old_phone is not null
    union all
    select
        island_id, portfolio_id, waba_id, event_id, received_at,
        changed_at as occurred_at,
        changed_at as evidence_at,
        'change_to_pair' as observation_kind,
        'inbound' as direction,
        'reached' as reach,
        1 as tier,
        new_bsuid as bsuid,
        new_phone as phone
    from changes
    where new_bsuid is not null and new_phone is not null

),

unioned as (

    select * from dated
    union all by name
    select * from paired

),

final as (

    select
        unioned.island_id,
        unioned.portfolio_id,
        unioned.waba_id,
        unioned.phone_number_id,
        unioned.event_id,
        unioned.message_id,
        unioned.part,
        unioned.observation_kind,
        unioned.source_field,
        unioned.received_at,
        unioned.occurred_at,
        unioned.evidence_at,
        coalesce(unioned.seen_at, unioned.evidence_at) as seen_at,
        unioned.direction,
        unioned.reach,
        unioned.tier,
        case when ignored_bsuid.reason is null then unioned.bsuid end as bsuid,
        case when ignored_phone.reason is null then unioned.phone end as phone,
        unioned.parent_bsuid,
        unioned.username,
        unioned.profile_name,
        coalesce(unioned.has_contact, false) as has_contact,
        unioned.observation_kind = 'status' as is_status,
        coalesce(unioned.reach = 'failed', false) as is_failed,
        -- 131026: nobody on WhatsApp could be reached under this number
        coalesce(unioned.reach = 'failed' and unioned.error_code = 131026, false) as is_undeliverable,
        ignored_bsuid.reason is not null or ignored_phone.reason is not null as is_ignored,
        unioned.item_type,
        coalesce(unioned.is_from_business, false) as is_from_business,
        coalesce(unioned.is_group, false) as is_group,
        unioned.reply_to_message_id,
        unioned.original_message_id,
        unioned.error_code,
        unioned.pricing_category,
        unioned.callback_data,
        unioned.ctwa_clid,
        unioned.identity_key_hash,
        unioned.landing_file,
        unioned.line_number
    from unioned
    left join never_a_person as ignored_bsuid
        on unioned.portfolio_id = ignored_bsuid.portfolio_id
        and unioned.bsuid = ignored_bsuid.identifier_value
    left join never_a_person as ignored_phone
        on unioned.portfolio_id = ignored_phone.portfolio_id
        and unioned.phone = ignored_phone.identifier_value

)

select * from final
