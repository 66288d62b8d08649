-- When each business number last dealt with a node, and last saw its phone: windows are per number.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and phone_number_id is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where node_id is not null and phone_number_id is not null

),

nodes as (

    select * from {{ ref('int_identity__node') }}

),

by_bsuid as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        phone_number_id,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        max(evidence_at) filter (where phone is not null and observation_kind <> 'history') as phone_last_seen_at,
        arg_max(phone, (evidence_at, phone)) filter (where phone is not null and observation_kind <> 'history') as last_phone,
        count(*) as observation_count
    from observations
    group by all

),

by_phone as (

    select
        portfolio_id,
        node_id,
        phone_number_id,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        max(evidence_at) filter (where observation_kind <> 'history') as phone_last_seen_at,
        arg_max(phone, (evidence_at, phone)) filter (where observation_kind <> 'history') as last_phone,
        count(*) as observation_count
    from assignments
    group by all

),

unioned as (

    select * from by_bsuid
    union all
    select * from by_phone

),

final as (

    select
        unioned.portfolio_id,
        unioned.node_id,
        nodes.identifier_value,
        unioned.phone_number_id,
        min(unioned.first_seen_at) as first_seen_at,
        max(unioned.last_seen_at) as last_seen_at,
        max(unioned.phone_last_seen_at) as phone_last_seen_at,
        arg_max(unioned.last_phone, (unioned.phone_last_seen_at, unioned.last_phone))
            filter (where unioned.last_phone is not null) as last_phone,
        sum(unioned.observation_count) as observation_count
    from unioned
    inner join nodes
        on unioned.portfolio_id = nodes.portfolio_id
        and unioned.node_id = nodes.node_id
    group by unioned.portfolio_id, unioned.node_id, nodes.identifier_value, unioned.phone_number_id

)

select * from final
