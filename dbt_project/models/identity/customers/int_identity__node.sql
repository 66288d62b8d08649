-- Only nodes carry customers: a BSUID, or a stretch of phone-only history.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null

),

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

bsuid_nodes as (

    select
        min(island_id) as island_id,
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        'bsuid' as node_kind,
        bsuid as identifier_value,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        arg_min(event_id, (received_at, event_id, waba_id)) as first_event_id,
        arg_min(waba_id, (received_at, event_id, waba_id)) as first_waba_id,
        min(received_at) as first_received_at,
        count(*) as observation_count
    from observations
    group by portfolio_id, bsuid

),

segment_nodes as (

    select
        islands.island_id,
        segments.portfolio_id,
        segments.node_id,
        'phone' as node_kind,
        segments.phone as identifier_value,
        segments.first_seen_at,
        segments.last_seen_at,
        segments.first_event_id,
        segments.first_waba_id,
        segments.first_received_at,
        segments.observation_count
    from segments
    inner join islands
        on {{ identifier_key('segments.portfolio_id', 'segments.phone') }} = islands.identifier_key

),

final as (

    select * from bsuid_nodes
    union all by name
    select * from segment_nodes

)

select * from final
