{{ config(materialized='view') }}

-- Whose a sighting is: the customer's whose BSUID it shows, else of whoever was on its phone at that time.
with

sightings as (

    select * from {{ ref('int_identity__sighting') }} where bsuid is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }} where node_id is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

of_nodes as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        phone_number_id,
        event_id,
        observation_kind,
        direction,
        item_type,
        phone,
        profile_name,
        received_at,
        occurred_at,
        evidence_at,
        seen_at
    from sightings
    union all
    select
        portfolio_id,
        node_id,
        phone_number_id,
        event_id,
        observation_kind,
        direction,
        item_type,
        phone,
        profile_name,
        received_at,
        occurred_at,
        evidence_at,
        seen_at
    from assignments

),

final as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        customer_nodes.node_kind,
        of_nodes.portfolio_id,
        of_nodes.phone_number_id,
        of_nodes.event_id,
        of_nodes.observation_kind,
        of_nodes.direction,
        of_nodes.item_type,
        of_nodes.phone,
        of_nodes.profile_name,
        of_nodes.received_at,
        of_nodes.occurred_at,
        of_nodes.evidence_at,
        of_nodes.seen_at,
        -- what they wrote themselves, and not of former days
        of_nodes.direction = 'inbound'
        and of_nodes.observation_kind in ('message', 'call', 'preference') as is_live_inbound
    from of_nodes
    inner join customer_nodes using (portfolio_id, node_id)

)

select * from final
