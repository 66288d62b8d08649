-- R4: the intervals in which a BSUID wore a username. It names a customer and never joins two.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null

),

sightings as (

    select
        portfolio_id,
        bsuid,
        username,
        seen_at as evidence_at,
        received_at,
        event_id,
        observation_kind,
        tier
    from observations
    where username is not null or (observation_kind = 'message' and has_contact)

),


marked as (

    select
        *,
        username is distinct from lag(username) over of_bsuid
        and row_number() over of_bsuid > 1 as is_bsuid_turn
    from sightings
    window of_bsuid as (partition by portfolio_id, bsuid order by {{ observation_order() }})

),

of_bsuid as (

    select
        *,
        min(case when is_bsuid_turn then evidence_at end) over (
            partition by portfolio_id, bsuid order by {{ observation_order() }}
            rows between 1 following and unbounded following
        ) as other_username_at
    from marked

),

of_username as (

    select
        * exclude (is_bsuid_turn),
        coalesce(bsuid <> lag(bsuid) over of_name, false) as is_username_turn
    from of_bsuid
    where username is not null
    window of_name as (
        partition by portfolio_id, username order by {{ observation_order() }}, bsuid
    )

),

closed as (

    select
        *,
        least(
            other_username_at,
            min(case when is_username_turn then evidence_at end) over (
                partition by portfolio_id, username order by {{ observation_order() }}, bsuid
                rows between 1 following and unbounded following
            )
        ) as closes_at
    from of_username

),

final as (

    select
        portfolio_id,
        bsuid,
        username,
        min(evidence_at) as valid_from,
        coalesce(closes_at, {{ end_of_time() }}) as valid_to,
        max(evidence_at) as last_seen_at,
        min(tier) as evidence_tier,
        arg_min(event_id, (evidence_at, received_at, event_id, observation_kind)) as evidence_event_id,
        count(*) as observation_count
    from closed
    group by portfolio_id, bsuid, username, closes_at

)

select * from final
