{{ config(materialized='incremental', pre_hook="{{ forget(touched('phone')) }}") }}

-- Whose is a sighting of a phone alone: its holder's, its segment's, or nobody's we can name.
with

phone_only as (

    select * from {{ ref('int_identity__phone_only') }}
    {{- only(touched('phone')) }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

-- Failed statuses before a segment's first real sighting still belong to that stretch.
placed as (

    select
        phone_only.*,
        segments.node_id as segment_node_id
    from phone_only
    left join segments
        on phone_only.portfolio_id = segments.portfolio_id
        and phone_only.phone = segments.phone
        and phone_only.gap_from = segments.gap_from
        and phone_only.evidence_at >= coalesce(segments.segment_from, segments.gap_from)
        and phone_only.evidence_at < coalesce(segments.next_segment_from, {{ end_of_time() }})

),

final as (

    select
        placed.portfolio_id,
        placed.phone,
        placed.shown_phone,
        placed.event_id,
        placed.message_id,
        placed.observation_kind,
        placed.received_at,
        placed.evidence_at,
        placed.seen_at,
        placed.direction,
        placed.is_contact,
        placed.profile_name,
        case placed.holding
            when 'held' then {{ bsuid_node('placed.last_holder') }}
            when 'unheld' then placed.segment_node_id
        end as node_id,
        case
            when placed.holding = 'held' then 'bsuid'
            when placed.holding = 'unheld' and placed.segment_node_id is not null then 'phone'
        end as node_kind,
        case
            when placed.holding = 'uncertain' then 'holder_uncertain'
            when placed.holding = 'unheld' and placed.segment_node_id is null then 'never_reached'
        end as unassigned_reason
    from placed

)

select * from final
