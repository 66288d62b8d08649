{{ config(materialized='view') }}

-- R3: a BSUID and a phone shown together.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}

),

attested as (

    select
        *,
        'shared_contact' as observation_kind
    from {{ ref('int_identity__attested_phone') }}

),

final as (

    select
        observations.portfolio_id,
        observations.phone,
        observations.bsuid,
        observations.event_id,
        observations.observation_kind,
        observations.tier,
        observations.received_at,
        observations.evidence_at,
        observations.seen_at,
        observations.is_status
    from observations
    left join attested
        on observations.portfolio_id = attested.portfolio_id
        and observations.event_id = attested.event_id
        and observations.bsuid = attested.bsuid
        and observations.phone = attested.phone
        and observations.observation_kind = attested.observation_kind
    where
        observations.bsuid is not null
        and observations.phone is not null
        and not coalesce(attested.is_void, false)

)

select * from final
