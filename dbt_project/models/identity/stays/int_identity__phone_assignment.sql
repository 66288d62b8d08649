-- Whose is a sighting of a phone alone: its holder's, its segment's, or nobody's we can name.
with

phone_only as (

    select * from {{ ref('int_identity__phone_only') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

changes as (

    select * from {{ ref('int_identity__change_side') }}

),

-- Who told to have come to a phone: what fails there before anybody is seen on it was meant for them.
arrivals as (

    select
        portfolio_id,
        new_phone as phone,
        changed_at as gap_from,
        min(coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id)) as node_id
    from changes
    where new_phone is not null
    group by all
    having count(distinct coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id)) = 1

),

-- Failed statuses before a segment's first real sighting still belong to that stretch.
placed as (

    select
        phone_only.*,
        coalesce(segments.node_id, arrivals.node_id) as unheld_node_id
    from phone_only
    left join arrivals
        on phone_only.portfolio_id = arrivals.portfolio_id
        and phone_only.phone = arrivals.phone
        and phone_only.gap_from = arrivals.gap_from
        and phone_only.gap_after_claim < arrivals.gap_from
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
        placed.waba_id,
        placed.phone_number_id,
        placed.observation_kind,
        placed.received_at,
        placed.occurred_at,
        placed.evidence_at,
        placed.seen_at,
        placed.direction,
        placed.item_type,
        placed.is_contact,
        placed.profile_name,
        case placed.holding
            when 'held' then {{ bsuid_node('placed.last_holder') }}
            when 'unheld' then placed.unheld_node_id
        end as node_id,
        split_part(node_id, ':', 1) as node_kind,
        case
            when placed.holding = 'uncertain' then 'holder_uncertain'
            when placed.holding = 'unheld' and placed.unheld_node_id is null then 'never_reached'
        end as unassigned_reason
    from placed

)

select * from final
