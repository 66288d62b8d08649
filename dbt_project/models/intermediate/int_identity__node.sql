{{ config(materialized='incremental', pre_hook="{{ forget(touched('identifier_value')) }}") }}

-- Only nodes carry customers: a BSUID, or a stretch of phone-only history.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where bsuid is not null
    {{- only(touched('bsuid'), 'and') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}
    {{- only(touched('phone')) }}

),

phone_only as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where node_kind = 'phone'
    {{- only(touched('phone'), 'and') }}

),

bsuid_nodes as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        'bsuid' as node_kind,
        bsuid as identifier_value,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        arg_min(event_id, (received_at, event_id)) as first_event_id,
        min(received_at) as first_received_at,
        count(*) as observation_count
    from observations
    group by all

),

segment_nodes as (

    select
        segments.portfolio_id,
        segments.node_id,
        'phone' as node_kind,
        segments.phone as identifier_value,
        segments.first_seen_at,
        segments.last_seen_at,
        arg_min(phone_only.event_id, (phone_only.received_at, phone_only.event_id))
            as first_event_id,
        min(phone_only.received_at) as first_received_at,
        segments.observation_count
    from segments
    inner join phone_only
        on segments.portfolio_id = phone_only.portfolio_id
        and segments.node_id = phone_only.node_id
    where phone_only.is_contact
    group by all

),

final as (

    select * from bsuid_nodes
    union all by name
    select * from segment_nodes

)

select * from final
