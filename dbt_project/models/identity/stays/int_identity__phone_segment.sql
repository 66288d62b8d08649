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

live_inbound as (

    select
        *,
        lag(evidence_at) over in_gap as previous_inbound_at,
        row_number() over in_gap as inbound_number
    from phone_only
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
            or live_inbound.evidence_at > live_inbound.previous_inbound_at
            + interval ({{ var('backfill_max_silence_days') }}) day,
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
        arg_min(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null) as first_name,
        arg_max(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where name is not null) as last_name
    from numbered
    group by all

),

-- Silence and signs of a new owner split unless the same name stands on both sides of them; a new key alone splits
-- only what bears two names.
boundaries as (

    select
        portfolio_id,
        phone,
        gap_from,
        run_from as segment_from
    from runs
    window in_gap as (partition by portfolio_id, phone, gap_from order by run_number)
    qualify
        if(
            row_number() over in_gap = 1,
            run_number > 0,
            not coalesce(lag(last_name) over in_gap = first_name, not is_after_absence)
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
        greatest(phone_only.gap_from, stretches.segment_from) as segment_from
    from phone_only
    left join stretches
        on phone_only.portfolio_id = stretches.portfolio_id
        and phone_only.phone = stretches.phone
        and phone_only.gap_from = stretches.gap_from
        and phone_only.evidence_at >= stretches.segment_from
        and phone_only.evidence_at < stretches.followed_at

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
        max(occurred_at) filter (where direction = 'inbound') as last_inbound_at,
        arg_max(name, (evidence_at, received_at, event_id, observation_kind))
            filter (where direction = 'inbound' and name is not null) as last_name,
        max(evidence_at) filter (where direction = 'inbound' and name is not null)
            as last_named_at,
        arg_min(event_id, (evidence_at, received_at, event_id, observation_kind))
            filter (where is_contact) as evidence_event_id,
        arg_min(event_id, (received_at, event_id, waba_id)) filter (where is_contact) as first_event_id,
        arg_min(waba_id, (received_at, event_id, waba_id)) filter (where is_contact) as first_waba_id,
        min(received_at) filter (where is_contact) as first_received_at,
        count(*) filter (where is_contact) as observation_count
    from segmented
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
