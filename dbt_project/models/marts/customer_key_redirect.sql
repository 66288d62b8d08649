-- R10: where every key ever published leads today.
with

published_keys as (

    select * from {{ source('raw', 'published_key') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__resolved_node') }}

),

quarantine as (

    select * from {{ ref('int_customer__quarantine') }}

),

observations as (

    select * from {{ ref('int_identity__observation') }}

),

stays as (

    select * from {{ ref('int_identity__stay') }}

),

links as (

    select * from {{ ref('identity_link') }}

),

quarantined_keys as (

    select distinct customer_key
    from customer_nodes
    where island_id in (select island_id from quarantine)

),

current_keys as (

    select distinct customer_key
    from customer_nodes
    where island_id not in (select island_id from quarantine)

),

moved_keys as (

    select published_keys.*
    from published_keys
    left join current_keys using (customer_key)
    where current_keys.customer_key is null

),

-- An event without an id of its own has one that is made of it, by an earlier version otherwise: it is known by its
-- receipt.
renamed_events as (

    select
        moved_keys.customer_key,
        min(observations.event_id) as event_id
    from moved_keys
    anti join observations as named
        on moved_keys.event_id = named.event_id
    inner join observations
        on moved_keys.received_at = observations.received_at
        and moved_keys.identifier in (observations.bsuid, observations.phone)
    group by moved_keys.customer_key

),

-- A key follows the observation it was made from: its BSUID, or whoever was on its phone then.
key_observations as (

    select
        moved_keys.customer_key as old_customer_key,
        moved_keys.identifier,
        observations.portfolio_id,
        bool_or(observations.bsuid = moved_keys.identifier) as is_bsuid,
        min(observations.evidence_at) as evidence_at
    from moved_keys
    left join renamed_events using (customer_key)
    inner join observations
        on coalesce(renamed_events.event_id, moved_keys.event_id) = observations.event_id
        and coalesce(moved_keys.waba_id = observations.waba_id, true)
    group by moved_keys.customer_key, moved_keys.identifier, observations.portfolio_id

),

todays_nodes as (

    select
        key_observations.old_customer_key,
        key_observations.portfolio_id,
        if(key_observations.is_bsuid, {{ bsuid_node('key_observations.identifier') }}, stays.node_id)
            as node_id
    from key_observations
    asof left join stays
        on key_observations.portfolio_id = stays.portfolio_id
        and key_observations.identifier = stays.phone
        and key_observations.evidence_at >= stays.stays_from

),

moved_to as (

    select
        todays_nodes.old_customer_key,
        min(customer_nodes.customer_key) as customer_key
    from todays_nodes
    inner join customer_nodes
        on todays_nodes.portfolio_id = customer_nodes.portfolio_id
        and todays_nodes.node_id = customer_nodes.node_id
    group by todays_nodes.old_customer_key

),

linked as (

    select
        customer_key,
        max(linked_at) as linked_at
    from links
    group by customer_key

),

final as (

    select
        published_keys.customer_key as old_customer_key,
        case
            when published_keys.identifier = 'erased' then null
            when current_keys.customer_key is not null then current_keys.customer_key
            when quarantined_keys.customer_key is null then moved_to.customer_key
        end as customer_key,
        case
            when published_keys.identifier = 'erased' then 'erased'
            when current_keys.customer_key is not null then 'current'
            when quarantined_keys.customer_key is not null then 'quarantined'
            when moved_to.customer_key is null then 'evidence_gone'
            when other_published.customer_key is not null then 'merged'
            else 'rekeyed'
        end as reason,
        coalesce(linked.linked_at, published_keys.received_at) as effective_at
    from published_keys
    left join current_keys on published_keys.customer_key = current_keys.customer_key
    left join moved_to on published_keys.customer_key = moved_to.old_customer_key
    left join quarantined_keys
        on coalesce(moved_to.customer_key, published_keys.customer_key) = quarantined_keys.customer_key
    left join published_keys as other_published
        on moved_to.customer_key = other_published.customer_key
    left join linked
        on coalesce(current_keys.customer_key, moved_to.customer_key) = linked.customer_key

)

select * from final
