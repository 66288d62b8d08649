-- Nodes (b): stretches of phone-only history that no BSUID holds.
with

phone_only as not materialized (

    select * from {{ ref('int_identity__phone_only') }}
    where holding = 'unheld'

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

owner_signs as (

    select * from {{ ref('int_identity__owner_sign') }}

),

first_contacts as (

    select
        portfolio_id,
        phone,
        rested_from,
        min(evidence_at) as evidence_at
    from phone_only
    where is_contact and observation_kind <> 'identity_changed'
    group by all

),

-- Every contact with what came before it in its gap.
contacts as (

    select
        portfolio_id,
        phone,
        rested_from,
        event_id,
        observation_kind,
        received_at,
        evidence_at,
        name,
        is_live_inbound,
        direction,
        reach,
        least(occurred_at, evidence_at) as contact_at,
        max(contact_at) filter (where reach = 'reached') over earlier as formerly_reached_at,
        max(contact_at) filter (where reach = 'sent') over earlier as formerly_sent_at
    from phone_only
    where reach in ('reached', 'sent')
    window earlier as (
        partition by portfolio_id, phone, rested_from
        order by least(occurred_at, evidence_at), received_at, event_id, observation_kind
        rows between unbounded preceding and 1 preceding
    )

),

-- Within a chain somebody was reached again and again before the number could have rested.
chained as (

    select
        *,
        count(*) filter (
            where reach = 'reached'
            and coalesce(
                contact_at > formerly_reached_at + interval ({{ var('number_rest_min_days') }}) day, true
            )
        ) over (
            partition by portfolio_id, phone, rested_from
            order by contact_at, received_at, event_id, observation_kind
        ) as chain_number
    from contacts

),

-- When the person had acted last; a synced chat tells of it, too.
acting as (

    select
        *,
        max(contact_at) filter (where direction = 'inbound') over earlier as formerly_acted_at,
        max(chain_number) filter (where direction = 'inbound') over earlier as formerly_acted_in_chain
    from chained
    window earlier as (
        partition by portfolio_id, phone, rested_from
        order by contact_at, received_at, event_id, observation_kind
        rows between unbounded preceding and 1 preceding
    )

),

live_inbound as (

    select
        *,
        lag(evidence_at) over in_gap as previous_inbound_at,
        row_number() over in_gap as inbound_number
    from acting
    where is_live_inbound
    window in_gap as (
        partition by portfolio_id, phone, rested_from order by {{ observation_order() }}
    )

),

signed as (

    select
        live_inbound.portfolio_id,
        live_inbound.phone,
        live_inbound.rested_from,
        live_inbound.inbound_number,
        max(owner_signs.evidence_at) as sign_at
    from live_inbound
    inner join owner_signs
        on live_inbound.portfolio_id = owner_signs.portfolio_id
        and live_inbound.phone = owner_signs.phone
        and live_inbound.evidence_at >= owner_signs.evidence_at
    inner join first_contacts
        on live_inbound.portfolio_id = first_contacts.portfolio_id
        and live_inbound.phone = first_contacts.phone
        and live_inbound.rested_from = first_contacts.rested_from
        and owner_signs.evidence_at
        > coalesce(live_inbound.previous_inbound_at, first_contacts.evidence_at)
    group by all

),

-- Since when nobody was there, and up to when it may still be the same person under another name and without one.
absences as (

    select
        live_inbound.*,
        signed.sign_at,
        case
            when inbound_number = 1 then coalesce(formerly_reached_at, formerly_sent_at)
            when chain_number <> formerly_acted_in_chain then formerly_acted_at
        end as absent_from,
        if(
            inbound_number = 1 and formerly_reached_at is null,
            absent_from + interval ({{ var('number_rest_min_days') }}) day,
            absent_from + interval ({{ var('contradicted_max_silence_days') }}) day
        ) as same_under_another_name_to,
        if(
            inbound_number = 1 and formerly_reached_at is null,
            absent_from + interval ({{ var('number_rest_min_days') }}) day,
            absent_from + interval ({{ var('backfill_max_silence_days') }}) day
        ) as same_without_name_to
    from live_inbound
    left join signed using (portfolio_id, phone, rested_from, inbound_number)

),

numbered as (

    select
        *,
        count(*) filter (
            where sign_at is not null or evidence_at > least(same_under_another_name_to, same_without_name_to)
        ) over (
            partition by portfolio_id, phone, rested_from order by inbound_number
        ) as run_number
    from absences

),

runs as (

    select
        portfolio_id,
        phone,
        rested_from,
        run_number,
        coalesce(max(sign_at), min(evidence_at)) as run_from,
        max(sign_at) is not null as is_signed,
        min(evidence_at) as first_inbound_at,
        min(inbound_number) as first_inbound_number,
        arg_min(absent_from, inbound_number) as absent_from,
        arg_min(formerly_acted_at, inbound_number) as formerly_acted_at,
        arg_min(same_under_another_name_to, inbound_number) as same_under_another_name_to,
        arg_min(same_without_name_to, inbound_number) as same_without_name_to,
        arg_min(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null) as first_name,
        arg_max(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null) as last_name
    from numbered
    group by all

),

-- What somebody was called whom the business wrote to before anybody wrote.
former_names as (

    select
        runs.portfolio_id,
        runs.phone,
        runs.rested_from,
        runs.run_number,
        arg_max(
            phone_only.name,
            (phone_only.evidence_at, phone_only.received_at, phone_only.event_id, phone_only.observation_kind)
        ) as former_name
    from runs
    inner join phone_only using (portfolio_id, phone, rested_from)
    where
        runs.first_inbound_number = 1
        and runs.run_number > 0
        and runs.absent_from is not null
        and phone_only.is_contact
        and phone_only.name is not null
        and phone_only.evidence_at < runs.first_inbound_at
    group by all

),

neighbours as (

    select
        runs.*,
        coalesce(former_names.former_name, lag(runs.last_name) over in_gap) as name_before,
        coalesce(runs.absent_from, runs.formerly_acted_at) as there_before_at
    from runs
    left join former_names using (portfolio_id, phone, rested_from, run_number)
    window in_gap as (
        partition by runs.portfolio_id, runs.phone, runs.rested_from order by runs.run_number
    )

),

-- The same name holds a stretch together; another one parts it after a shorter silence than a missing one does, and at
-- a sign of a new owner.
boundaries as (

    select distinct
        portfolio_id,
        phone,
        rested_from as segment_from
    from phone_only
    where rested_from > gap_from
    union
    select
        portfolio_id,
        phone,
        run_from as segment_from
    from neighbours
    where
        case
            when {{ is_same_name('name_before', 'first_name', 'there_before_at', 'first_inbound_at') }} then false
            when {{ is_other_name('name_before', 'first_name') }}
                then is_signed or first_inbound_at > same_under_another_name_to
            else first_inbound_at > same_without_name_to
        end

),

segmented as (

    select
        phone_only.*,
        greatest(phone_only.gap_from, boundaries.segment_from) as segment_from,
        -- history is as of its sync, but tells of contacts long before
        least(phone_only.occurred_at, phone_only.evidence_at) as contact_at
    from phone_only
    asof left join boundaries
        on phone_only.portfolio_id = boundaries.portfolio_id
        and phone_only.phone = boundaries.phone
        and phone_only.evidence_at >= boundaries.segment_from

),

with_former_reach as (

    select
        *,
        max(contact_at) filter (where reach = 'reached') over (
            partition by portfolio_id, phone, gap_from, segment_from
            order by contact_at
            rows between unbounded preceding and 1 preceding
        ) as formerly_reached_at
    from segmented

),

-- A phone that was only ever seen in failed statuses never made a customer.
segments as (

    select
        portfolio_id,
        phone,
        gap_from,
        gap_after_claim,
        segment_from,
        min(evidence_at) filter (where is_contact) as opened_at,
        max(evidence_at) filter (where is_contact) as last_evidence_at,
        min(seen_at) filter (where is_contact) as first_seen_at,
        max(seen_at) filter (where is_contact) as last_seen_at,
        max(contact_at) filter (where direction = 'inbound') as last_inbound_at,
        max(contact_at) filter (where reach = 'reached') as last_reached_at,
        max(contact_at) filter (where reach = 'sent') as last_sent_at,
        -- from here on somebody was reached again and again before a number could have rested
        max(contact_at) filter (
            where reach = 'reached'
            and coalesce(
                contact_at > formerly_reached_at + interval ({{ var('number_rest_min_days') }}) day, true
            )
        ) as unbroken_from,
        arg_min(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null and is_contact) as first_name,
        arg_max(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null and is_contact) as last_name,
        max(evidence_at) filter (where name is not null and is_contact) as last_named_at,
        arg_min(event_id, (evidence_at, received_at, event_id, observation_kind))
            filter (where is_contact) as evidence_event_id,
        arg_min(event_id, (received_at, event_id, waba_id)) filter (where is_contact) as first_event_id,
        arg_min(waba_id, (received_at, event_id, waba_id)) filter (where is_contact) as first_waba_id,
        min(received_at) filter (where is_contact) as first_received_at,
        count(*) filter (where is_contact) as observation_count
    from with_former_reach
    group by all

),

numbered_segments as (

    select
        *,
        {{ phone_node('phone', 'opened_at') }} as node_id,
        lead(segment_from) over (
            partition by portfolio_id, phone, gap_from order by segment_from nulls first
        ) as next_segment_from
    from segments
    where opened_at is not null

),

final as (

    select
        numbered_segments.*,
        coalesce(
            least(numbered_segments.next_segment_from, claims.valid_from, cuts.cut_at),
            {{ end_of_time() }}
        ) as valid_to
    from numbered_segments
    asof left join claims
        on numbered_segments.portfolio_id = claims.portfolio_id
        and numbered_segments.phone = claims.phone
        and numbered_segments.last_evidence_at < claims.valid_from
    asof left join cuts
        on numbered_segments.portfolio_id = cuts.portfolio_id
        and numbered_segments.phone = cuts.phone
        and numbered_segments.last_evidence_at < cuts.cut_at

)

select * from final
