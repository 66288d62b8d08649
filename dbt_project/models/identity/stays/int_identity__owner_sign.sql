-- Signs that a phone may have a new owner: its key changed, or it was out of reach for as long as a number rests
-- before it is given out again. They count only where another name follows.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}

),

key_changes as (

    select * from observations
    where phone is not null and observation_kind = 'identity_changed'

),

unreachable as (

    select * from observations
    where phone is not null and is_undeliverable

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

final as (

    select distinct
        portfolio_id,
        phone,
        evidence_at,
        'key_changed' as sign
    from key_changes
    union
    select
        contacts.portfolio_id,
        contacts.phone,
        contacts.evidence_at,
        'reachable_again' as sign
    from contacts
    inner join unreachable
        on contacts.portfolio_id = unreachable.portfolio_id
        and contacts.phone = unreachable.phone
        and unreachable.evidence_at > contacts.previous_evidence_at
        and unreachable.evidence_at < contacts.evidence_at
    where
        contacts.evidence_at
        >= contacts.previous_evidence_at + interval ({{ var('number_rest_min_days') }}) day

)

select * from final
