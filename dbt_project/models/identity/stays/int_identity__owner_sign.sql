-- Signs that a phone may have a new owner: its key changed, or it was out of reach for as long as a number rests
-- before it is given out again. They count only where another name follows.
with

sightings as not materialized (

    select * from {{ ref('int_identity__sighting') }}
    where phone is not null

),

aliases as (

    select * from {{ ref('int_identity__phone_alias') }}

),

observations as not materialized (

    select sightings.* replace (coalesce(aliases.known_phone, sightings.phone) as phone)
    from sightings
    left join aliases
        on sightings.portfolio_id = aliases.portfolio_id
        and sightings.phone = aliases.phone

),

shown_keys as (

    select
        portfolio_id,
        phone,
        evidence_at,
        identity_key_hash,
        lag(identity_key_hash) over (partition by portfolio_id, phone order by {{ observation_order() }})
            as previous_key_hash
    from observations
    where identity_key_hash is not null

),

key_changes as (

    select
        portfolio_id,
        phone,
        evidence_at
    from observations
    where observation_kind = 'identity_changed'
    union
    select
        portfolio_id,
        phone,
        evidence_at
    from shown_keys
    where identity_key_hash <> previous_key_hash

),

unreachable as (

    select * from observations
    where is_undeliverable

),

-- What somebody on the phone did, or what reached it.
contacts as (

    select
        portfolio_id,
        phone,
        evidence_at,
        lag(evidence_at) over (partition by portfolio_id, phone order by evidence_at)
            as previous_evidence_at
    from observations
    where
        (direction = 'inbound' or (observation_kind = 'status' and not is_failed))
        and observation_kind <> 'history'
        and (portfolio_id, phone) in (select portfolio_id, phone from unreachable)

),

signs as (

    select
        portfolio_id,
        phone,
        evidence_at,
        null::timestamp as out_of_reach_from
    from key_changes
    union all
    select
        contacts.portfolio_id,
        contacts.phone,
        contacts.evidence_at,
        contacts.previous_evidence_at as out_of_reach_from
    from contacts
    inner join unreachable
        on contacts.portfolio_id = unreachable.portfolio_id
        and contacts.phone = unreachable.phone
        and unreachable.evidence_at > contacts.previous_evidence_at
        and unreachable.evidence_at < contacts.evidence_at
    where
        contacts.evidence_at
        >= contacts.previous_evidence_at + interval ({{ var('number_rest_min_days') }}) day

),

final as (

    select
        portfolio_id,
        phone,
        evidence_at,
        max(out_of_reach_from) as out_of_reach_from
    from signs
    group by all

)

select * from final
