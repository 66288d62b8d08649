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
        gap_from,
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
        gap_from,
        event_id,
        observation_kind,
        received_at,
        evidence_at,
        name,
        is_live_inbound,
        reach,
        least(occurred_at, evidence_at) as contact_at,
        max(contact_at) filter (where reach = 'reached') over earlier as formerly_reached_at,
        max(contact_at) filter (where reach = 'sent') over earlier as formerly_sent_at
    from phone_only
    where reach in ('reached', 'sent')
    window earlier as (
        partition by portfolio_id, phone, gap_from
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
            partition by portfolio_id, phone, gap_from
            order by contact_at, received_at, event_id, observation_kind
        ) as chain_number
    from contacts

),

live_inbound as (

    select
        *,
        lag(evidence_at) over in_gap as previous_inbound_at,
        lag(chain_number) over in_gap as previous_chain_number,
        row_number() over in_gap as inbound_number
    from chained
    where is_live_inbound
    window in_gap as (
        partition by portfolio_id, phone, gap_from order by {{ observation_order() }}
    )

),

signed as (

    select
        live_inbound.portfolio_id,
        live_inbound.phone,
        live_inbound.gap_from,
        live_inbound.inbound_number,
        max(owner_signs.evidence_at) as sign_at,
        bool_or(owner_signs.sign = 'reachable_again') as is_rested
    from live_inbound
    inner join owner_signs
        on live_inbound.portfolio_id = owner_signs.portfolio_id
        and live_inbound.phone = owner_signs.phone
        and live_inbound.evidence_at >= owner_signs.evidence_at
    inner join first_contacts
        on live_inbound.portfolio_id = first_contacts.portfolio_id
        and live_inbound.phone = first_contacts.phone
        and live_inbound.gap_from = first_contacts.gap_from
        and owner_signs.evidence_at
        > coalesce(live_inbound.previous_inbound_at, first_contacts.evidence_at)
    group by all

),

numbered as (

    select
        live_inbound.*,
        signed.sign_at,
        coalesce(
            signed.is_rested
            or (
                live_inbound.evidence_at > live_inbound.previous_inbound_at
                + interval ({{ var('backfill_max_silence_days') }}) day
                and live_inbound.chain_number <> live_inbound.previous_chain_number
            )
            -- the first to write where the business had written
            or (
                live_inbound.inbound_number = 1
                and live_inbound.evidence_at > coalesce(
                    live_inbound.formerly_reached_at
                    + interval ({{ var('backfill_max_silence_days') }}) day,
                    live_inbound.formerly_sent_at
                    + interval ({{ var('number_rest_min_days') }}) day
                )
            ),
            false
        ) as is_after_absence,
        count(*) filter (where signed.sign_at is not null or is_after_absence) over (
            partition by portfolio_id, phone, gap_from order by inbound_number
        ) as run_number
    from live_inbound
    left join signed using (portfolio_id, phone, gap_from, inbound_number)

),

runs as (

    select
        portfolio_id,
        phone,
        gap_from,
        run_number,
        coalesce(max(sign_at), min(evidence_at)) as run_from,
        bool_or(is_after_absence) as is_after_absence,
        max(sign_at) is not null as is_signed,
        min(evidence_at) as first_inbound_at,
        max(evidence_at) as last_inbound_at,
        arg_min(coalesce(formerly_reached_at, formerly_sent_at), inbound_number)
            filter (where inbound_number = 1) as formerly_there_at,
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
        runs.gap_from,
        runs.run_number,
        arg_max(
            phone_only.name,
            (phone_only.evidence_at, phone_only.received_at, phone_only.event_id, phone_only.observation_kind)
        ) as former_name
    from runs
    inner join phone_only using (portfolio_id, phone, gap_from)
    where
        runs.formerly_there_at is not null
        and runs.is_after_absence
        and phone_only.name is not null
        and phone_only.evidence_at < runs.first_inbound_at
    group by all

),

neighbours as (

    select
        runs.*,
        row_number() over in_gap = 1 as is_first_run,
        if(is_first_run, former_names.former_name, lag(runs.last_name) over in_gap) as name_before,
        if(is_first_run, runs.formerly_there_at, lag(runs.last_inbound_at) over in_gap) as there_before_at,
        name_before = runs.first_name
        and (
            {{ has_many_words('name_before') }}
            or runs.first_inbound_at
            <= there_before_at + interval ({{ var('one_word_name_max_silence_days') }}) day
        ) as is_same_name
    from runs
    left join former_names using (portfolio_id, phone, gap_from, run_number)
    window in_gap as (
        partition by runs.portfolio_id, runs.phone, runs.gap_from order by runs.run_number
    )

),

-- Silence and signs of a new owner split unless the same name stands on both sides of them; a new key alone splits
-- only what bears two names. A sign before anybody wrote splits in any case.
boundaries as (

    select
        portfolio_id,
        phone,
        gap_from,
        run_from as segment_from
    from neighbours
    where
        if(
            is_first_run,
            run_number > 0 and (is_signed or not coalesce(is_same_name, false)),
            not coalesce(is_same_name, not is_after_absence)
        )

),

stretches as (

    select
        *,
        coalesce(
            lead(segment_from) over (
                partition by portfolio_id, phone, gap_from order by segment_from
            ),
            {{ end_of_time() }}
        ) as followed_at
    from boundaries

),

segmented as (

    select
        phone_only.*,
        greatest(phone_only.gap_from, stretches.segment_from) as segment_from,
        -- history is as of its sync, but tells of contacts long before
        least(phone_only.occurred_at, phone_only.evidence_at) as contact_at
    from phone_only
    left join stretches
        on phone_only.portfolio_id = stretches.portfolio_id
        and phone_only.phone = stretches.phone
        and phone_only.gap_from = stretches.gap_from
        and phone_only.evidence_at >= stretches.segment_from
        and phone_only.evidence_at < stretches.followed_at

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
            filter (where name is not null) as first_name,
        arg_max(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null) as last_name,
        max(evidence_at) filter (where name is not null) as last_named_at,
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
