-- R3: the intervals in which a BSUID held a phone.
with

pairings as (

    select * from {{ ref('int_identity__pairing') }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

overrides as (

    select * from {{ ref('identity_overrides') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

-- Of a pair's statuses only one that is the first of all sightings of that pair can open a claim; the others confirm one.
openers as (

    select *
    from pairings
    qualify
        not is_status
        or row_number() over (
            partition by portfolio_id, phone, bsuid
            order by {{ observation_order() }}
        ) = 1

),

-- A run ends where the phone shows another BSUID or the BSUID another phone.
marked as (

    select
        *,
        coalesce(bsuid <> lag(bsuid) over on_phone, false) as is_phone_turn,
        coalesce(phone <> lag(phone) over of_bsuid, false) as is_bsuid_turn,
        case
            when is_phone_turn and evidence_at = lag(evidence_at) over on_phone
                then lag(bsuid) over on_phone
        end as bsuid_at_once,
        case
            when is_bsuid_turn and evidence_at = lag(evidence_at) over of_bsuid
                then lag(phone) over of_bsuid
        end as phone_at_once
    from openers
    window
        on_phone as (partition by portfolio_id, phone order by {{ observation_order() }}, bsuid),
        of_bsuid as (partition by portfolio_id, bsuid order by {{ observation_order() }}, phone)

),

with_turns as (

    select
        *,
        min(case when is_phone_turn then evidence_at end) over later_on_phone as other_bsuid_at,
        min(case when is_bsuid_turn then evidence_at end) over later_of_bsuid as other_phone_at
    from marked
    window
        later_on_phone as (
            partition by portfolio_id, phone order by {{ observation_order() }}, bsuid
            rows between 1 following and unbounded following
        ),
        later_of_bsuid as (
            partition by portfolio_id, bsuid order by {{ observation_order() }}, phone
            rows between 1 following and unbounded following
        )

),

parted as (

    {{ parted_bsuids('overrides', 'as_of') }}

),

-- Not where a person says that the two are not one.
away as (

    select distinct
        changes.portfolio_id,
        coalesce(changes.old_bsuid, changes.body_old_bsuid) as bsuid,
        changes.changed_at
    from changes
    left join parted
        on changes.portfolio_id = parted.portfolio_id
        and coalesce(changes.old_bsuid, changes.body_old_bsuid) = parted.bsuid
        and changes.new_bsuid = parted.parted_bsuid
    where coalesce(changes.old_bsuid, changes.body_old_bsuid) is not null and parted.bsuid is null

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

closed as (

    select
        with_turns.*,
        away.changed_at as succession_at,
        cuts.cut_at,
        least(
            with_turns.other_bsuid_at, with_turns.other_phone_at, away.changed_at, cuts.cut_at
        ) as closes_at
    from with_turns
    asof left join away
        on with_turns.portfolio_id = away.portfolio_id
        and with_turns.bsuid = away.bsuid
        and with_turns.evidence_at < away.changed_at
    asof left join cuts
        on with_turns.portfolio_id = cuts.portfolio_id
        and with_turns.phone = cuts.phone
        and with_turns.evidence_at < cuts.cut_at

),

-- Of two at one instant the order of sightings decides: the former held nothing, and a claim of no length is none.
claims as (

    select
        portfolio_id,
        phone,
        bsuid,
        min(evidence_at) as valid_from,
        max(evidence_at) as last_opened_at,
        coalesce(closes_at, {{ end_of_time() }}) as valid_to,
        case
            when closes_at is null then null
            when bool_or(closes_at = succession_at) then 'succession'
            when bool_or(closes_at = cut_at) then 'number_change'
            when bool_or(closes_at = other_bsuid_at) then 'other_bsuid'
            else 'other_phone'
        end as close_reason,
        max(bsuid_at_once) as bsuid_at_once,
        max(phone_at_once) as phone_at_once,
        min(tier) as evidence_tier,
        arg_min(event_id, (evidence_at, received_at, event_id, observation_kind)) as evidence_event_id,
        arg_min(observation_kind, (evidence_at, received_at, event_id, observation_kind))
            as opened_by,
        min({
            'evidence_at': evidence_at,
            'received_at': received_at,
            'event_id': event_id,
            'observation_kind': observation_kind
        }) as opening
    from closed
    group by portfolio_id, phone, bsuid, closes_at
    having coalesce(min(evidence_at) < closes_at, true)

),

-- Later statuses confirm the claim that is open at their time and never reopen one.
confirmed as (

    select
        claims.portfolio_id,
        claims.phone,
        claims.bsuid,
        claims.valid_from,
        max(pairings.evidence_at) as last_paired_at,
        min(pairings.seen_at) as first_seen_at,
        max(pairings.seen_at) as last_seen_at,
        count(*) as observation_count
    from pairings
    inner join claims
        on pairings.portfolio_id = claims.portfolio_id
        and pairings.phone = claims.phone
        and pairings.bsuid = claims.bsuid
        and pairings.evidence_at >= claims.valid_from
        and pairings.evidence_at < claims.valid_to
    group by all

),

final as (

    select
        claims.* exclude (last_opened_at),
        -- an opener at the very moment of its claim's end still is one
        greatest(confirmed.last_paired_at, claims.last_opened_at) as last_paired_at,
        confirmed.first_seen_at,
        least(confirmed.last_seen_at, claims.valid_to) as last_seen_at,
        confirmed.observation_count,
        row_number() over on_phone as claim_number,
        lead(claims.bsuid) over on_phone as next_bsuid,
        lead(claims.valid_from) over on_phone as next_valid_from
    from claims
    inner join confirmed using (portfolio_id, phone, bsuid, valid_from)
    window on_phone as (
        partition by claims.portfolio_id, claims.phone
        order by claims.opening, claims.bsuid
    )

)

select * from final
