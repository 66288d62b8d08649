-- R8: a number the user attested; void while another customer was sighted on it.
with

observations as (

    select * from {{ ref('int_identity__observation') }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

attested as (

    select *
    from observations
    where observation_kind = 'contact_request' and bsuid is not null and phone is not null

),

-- BSUIDs that named succession joins with the sender are the same customer.
succession as (

    select
        portfolio_id,
        coalesce(old_bsuid, body_old_bsuid) as bsuid,
        new_bsuid as kin_bsuid
    from changes
    where coalesce(old_bsuid, body_old_bsuid) is not null and new_bsuid is not null
    union all
    select
        portfolio_id,
        new_bsuid as bsuid,
        coalesce(old_bsuid, body_old_bsuid) as kin_bsuid
    from changes
    where coalesce(old_bsuid, body_old_bsuid) is not null and new_bsuid is not null

),

kin as (

    with recursive reached as (

        select distinct portfolio_id, bsuid, bsuid as kin_bsuid
        from attested
        union
        select
            reached.portfolio_id,
            reached.bsuid,
            succession.kin_bsuid
        from reached
        inner join succession
            on reached.portfolio_id = succession.portfolio_id
            and reached.kin_bsuid = succession.bsuid

    )

    select * from reached

),

earlier_pairings as (

    select
        attested.portfolio_id,
        attested.event_id,
        attested.bsuid,
        attested.phone,
        observations.bsuid as other_bsuid,
        observations.evidence_at,
        observations.event_id as other_event_id,
        kin.kin_bsuid is not null as is_same_customer,
        observations.evidence_at
        >= attested.evidence_at - interval ({{ var('backfill_max_silence_days') }}) day as is_recent
    from attested
    inner join observations
        on attested.portfolio_id = observations.portfolio_id
        and attested.phone = observations.phone
        and attested.evidence_at > observations.evidence_at
        and observations.bsuid is not null
        and observations.observation_kind <> 'contact_request'
    left join kin
        on attested.portfolio_id = kin.portfolio_id
        and attested.bsuid = kin.bsuid
        and observations.bsuid = kin.kin_bsuid

),

judged as (

    select
        portfolio_id,
        event_id,
        bsuid,
        phone,
        bool_or(is_same_customer) as was_held_before,
        arg_max(other_bsuid, (evidence_at, other_event_id))
            filter (where is_recent and not is_same_customer) as taken_by_bsuid
    from earlier_pairings
    group by all

),

final as (

    select
        attested.portfolio_id,
        attested.event_id,
        attested.bsuid,
        attested.phone,
        attested.evidence_at,
        judged.taken_by_bsuid,
        judged.taken_by_bsuid is not null and not judged.was_held_before as is_void
    from attested
    left join judged using (portfolio_id, event_id, bsuid, phone)

)

select * from final
