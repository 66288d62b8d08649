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
        portfolio_id,
        node_id,
        'phone' as node_kind,
        phone as identifier_value,
        first_seen_at,
        last_seen_at,
        first_event_id,
        first_received_at,
        observation_count
    from segments

),

final as (

    select * from bsuid_nodes
    union all by name
    select * from segment_nodes

)

select * from final
