-- Section 6: sightings of a phone without a BSUID, placed between the claims and cuts on it.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

rests as (

    select * from {{ ref('int_identity__phone_rest') }}

),

aliases as (

    select * from {{ ref('int_identity__phone_alias') }}

),

phone_only as (

    select
        observations.portfolio_id,
        coalesce(aliases.known_phone, observations.phone) as phone,
        observations.phone as shown_phone,
        observations.event_id,
        observations.message_id,
        observations.waba_id,
        observations.phone_number_id,
        observations.observation_kind,
        observations.received_at,
        observations.occurred_at,
        observations.evidence_at,
        observations.seen_at,
        observations.direction,
        observations.reach,
        observations.item_type,
        -- an address book entry or a failed send is no contact: it makes no customer
        not observations.is_failed and observations.observation_kind <> 'state_sync' as is_contact,
        observations.profile_name,
        observations.direction = 'inbound'
        and observations.observation_kind <> 'history' as is_live_inbound,
        {{ normalised_name('observations.profile_name') }} as name
    from observations
    left join aliases
        on observations.portfolio_id = aliases.portfolio_id
        and observations.phone = aliases.phone
    where observations.bsuid is null and observations.phone is not null

),

holders as (

    select
        *,
        coalesce(
            lead(valid_from) over (partition by portfolio_id, phone order by valid_from),
            {{ end_of_time() }}
        ) as followed_at,
        -- between the last sighting of one holder and the first of the next, nobody knows
        case
            when next_bsuid <> bsuid and close_reason in ('other_bsuid', 'other_phone')
                then last_paired_at
        end as uncertain_after
    from claims

),

cut_stretches as (

    select
        *,
        coalesce(
            lead(cut_at) over (partition by portfolio_id, phone order by cut_at),
            {{ end_of_time() }}
        ) as followed_at
    from cuts

),

placed as (

    select
        phone_only.*,
        holders.bsuid as last_holder,
        holders.valid_from as last_held_from,
        cut_stretches.cut_at as last_cut_at,
        rests.reached_again_at as last_rested_at,
        coalesce(phone_only.evidence_at < holders.valid_to, false) as is_held,
        coalesce(phone_only.evidence_at > holders.uncertain_after, false) as is_holder_uncertain
    from phone_only
    left join holders
        on phone_only.portfolio_id = holders.portfolio_id
        and phone_only.phone = holders.phone
        and phone_only.evidence_at >= holders.valid_from
        and phone_only.evidence_at < holders.followed_at
    left join cut_stretches
        on phone_only.portfolio_id = cut_stretches.portfolio_id
        and phone_only.phone = cut_stretches.phone
        and phone_only.evidence_at >= cut_stretches.cut_at
        and phone_only.evidence_at < cut_stretches.followed_at
    asof left join rests
        on phone_only.portfolio_id = rests.portfolio_id
        and phone_only.phone = rests.phone
        and phone_only.evidence_at >= rests.reached_again_at

),

final as (

    select
        * exclude (last_held_from, last_cut_at, last_rested_at, is_held, is_holder_uncertain),
        case
            when is_holder_uncertain then 'uncertain'
            when is_held then 'held'
            else 'unheld'
        end as holding,
        -- a gap is what lies between two claims or cuts: no segment reaches over either
        coalesce(last_held_from, timestamp '0001-01-01') as gap_after_claim,
        greatest(
            coalesce(last_held_from, timestamp '0001-01-01'),
            coalesce(last_cut_at, timestamp '0001-01-01')
        ) as gap_from,
        -- who is there after a rest is nobody who was there before
        greatest(gap_from, last_rested_at) as rested_from
    from placed

)

select * from final
