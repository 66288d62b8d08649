-- R5: when a phone was reached again that nobody could be reached under for so long that it may have been given out again.
with

owner_signs as (

    select * from {{ ref('int_identity__owner_sign') }}
    where evidence_at > out_of_reach_from + interval ({{ var('contradicted_max_silence_days') }}) day

),

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where
        bsuid is null
        and phone is not null
        and profile_name is not null

),

aliases as (

    select * from {{ ref('int_identity__phone_alias') }}

),

named as (

    select
        observations.portfolio_id,
        coalesce(aliases.known_phone, observations.phone) as phone,
        observations.evidence_at,
        observations.received_at,
        observations.event_id,
        observations.observation_kind,
        {{ normalised_name('observations.profile_name') }} as name
    from observations
    left join aliases
        on observations.portfolio_id = aliases.portfolio_id
        and observations.phone = aliases.phone
    where
        (observations.portfolio_id, coalesce(aliases.known_phone, observations.phone)) in (
            select
                owner_signs.portfolio_id,
                owner_signs.phone
            from owner_signs
        )

),

names_around as (

    select
        owner_signs.portfolio_id,
        owner_signs.phone,
        owner_signs.out_of_reach_from,
        owner_signs.evidence_at as reached_again_at,
        arg_max(named.name, (named.evidence_at, named.received_at, named.event_id, named.observation_kind))
            filter (where named.evidence_at < owner_signs.evidence_at) as name_before,
        arg_min(named.name, (named.evidence_at, named.received_at, named.event_id, named.observation_kind))
            filter (where named.evidence_at >= owner_signs.evidence_at) as name_after
    from owner_signs
    left join named
        on owner_signs.portfolio_id = named.portfolio_id
        and owner_signs.phone = named.phone
        and named.name is not null
    group by all

),

-- Who is called the same was only away.
final as (

    select
        portfolio_id,
        phone,
        reached_again_at
    from names_around
    where
        not coalesce(
            {{ is_same_name('name_before', 'name_after', 'out_of_reach_from', 'reached_again_at') }}, false
        )

)

select * from final
