{{ config(materialized='incremental', pre_hook="{{ forget(touched('identifier_value')) }}") }}

-- When each business number last dealt with a node, and last saw its phone: windows are per number.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where phone_number_id is not null
    {{- only('(' ~ touched('bsuid') ~ ' or ' ~ touched('phone') ~ ')', 'and') }}

),

assignments as (

    select distinct
        portfolio_id,
        event_id,
        observation_kind,
        shown_phone,
        phone,
        node_id
    from {{ ref('int_identity__phone_assignment') }}
    where node_id is not null
    {{- only(touched('phone'), 'and') }}

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
        max(evidence_at) filter (where phone is not null) as phone_last_seen_at,
        arg_max(phone, (evidence_at, phone)) filter (where phone is not null) as last_phone,
        count(*) as observation_count
    from observations
    where bsuid is not null
    {{- only(touched('bsuid'), 'and') }}
    group by all

),

by_phone as (

    select
        observations.portfolio_id,
        assignments.node_id,
        observations.phone_number_id,
        min(observations.seen_at) as first_seen_at,
        max(observations.seen_at) as last_seen_at,
        max(observations.evidence_at) as phone_last_seen_at,
        arg_max(assignments.phone, (observations.evidence_at, assignments.phone)) as last_phone,
        count(*) as observation_count
    from observations
    inner join assignments
        on observations.portfolio_id = assignments.portfolio_id
        and observations.event_id = assignments.event_id
        and observations.observation_kind = assignments.observation_kind
        and observations.phone = assignments.shown_phone
    where observations.bsuid is null
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
