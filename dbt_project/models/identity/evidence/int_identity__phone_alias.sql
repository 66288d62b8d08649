-- Tier 4: a phone seen only in what the business sent, that is another spelling of one known number.
-- Never one BSUID's claim to another's: only a phone that nobody holds or wrote from has an alias.
with

observations as (

    select * from {{ ref('int_identity__sighting') }} where phone is not null

),

-- Only of a number that was met in more than one spelling one can be another's alias.
phones as (

    select * from {{ ref('int_phone__number') }}
    where default_country is null
    qualify count(*) over (partition by match_key) > 1

),

per_phone as (

    select
        observations.portfolio_id,
        observations.phone,
        phones.match_key,
        bool_or(
            observations.bsuid is not null
            or (observations.observation_kind <> 'echo' and not observations.is_failed)
        ) as is_known
    from observations
    inner join phones using (phone)
    group by all

),

known as (

    select
        portfolio_id,
        match_key,
        min(phone) as phone
    from per_phone
    where is_known
    group by all
    having count(*) = 1

),

final as (

    select
        per_phone.portfolio_id,
        per_phone.phone,
        known.phone as known_phone
    from per_phone
    inner join known
        on per_phone.portfolio_id = known.portfolio_id
        and per_phone.match_key = known.match_key
    where not per_phone.is_known

)

select * from final
