-- What a node last showed of itself.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where node_id is not null

),

nodes as (

    select * from {{ ref('int_identity__node') }}

),

bsuid_profiles as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        arg_max(profile_name, (seen_at, received_at, event_id, profile_name))
            filter (where profile_name is not null) as profile_name,
        max(seen_at) filter (where profile_name is not null) as named_at,
        arg_max(
            phone is not null, (evidence_at, received_at, event_id, phone is not null)
        )
            filter (where direction = 'inbound' and observation_kind in ('message', 'call', 'preference'))
            as is_newest_inbound_with_phone,
        max(evidence_at) filter (where direction = 'inbound' and observation_kind in ('message', 'call', 'preference'))
            as newest_inbound_at,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from observations
    group by all

),

phone_only_profiles as (

    select
        assignments.portfolio_id,
        assignments.node_id,
        arg_max(
            assignments.profile_name,
            (assignments.seen_at, assignments.event_id, assignments.profile_name)
        )
            filter (where assignments.profile_name is not null) as profile_name,
        max(assignments.seen_at) filter (where assignments.profile_name is not null) as named_at,
        bool_or(true) filter (where assignments.direction = 'inbound' and assignments.observation_kind <> 'history')
            as is_newest_inbound_with_phone,
        max(assignments.evidence_at) filter (where assignments.direction = 'inbound' and assignments.observation_kind <> 'history')
            as newest_inbound_at,
        min(assignments.seen_at) as first_seen_at,
        max(assignments.seen_at) as last_seen_at
    from assignments
    group by all

),

unioned as (

    select * from bsuid_profiles
    union all
    select * from phone_only_profiles

),

final as (

    select
        nodes.identifier_value,
        unioned.*
    from unioned
    inner join nodes
        on unioned.portfolio_id = nodes.portfolio_id
        and unioned.node_id = nodes.node_id

)

select * from final
