-- R10: where every key ever published leads today.
with

published_keys as (

    select * from {{ source('raw', 'published_key') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

observations as (

    select * from {{ ref('int_identity__observation') }} where bsuid is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }} where node_id is not null

),

links as (

    select * from {{ ref('identity_link') }}

),

current_keys as (

    select distinct customer_key
    from customer_nodes

),

moved_keys as (

    select published_keys.*
    from published_keys
    left join current_keys using (customer_key)
    where current_keys.customer_key is null

),

-- A key follows the observation it was made from.
todays_nodes as (

    select
        moved_keys.customer_key as old_customer_key,
        observations.portfolio_id,
        {{ bsuid_node('observations.bsuid') }} as node_id
    from moved_keys
    inner join observations
        on moved_keys.event_id = observations.event_id
        and moved_keys.identifier = observations.bsuid
    union
    select
        moved_keys.customer_key as old_customer_key,
        assignments.portfolio_id,
        assignments.node_id
    from moved_keys
    inner join assignments
        on moved_keys.event_id = assignments.event_id
        and moved_keys.identifier in (assignments.phone, assignments.shown_phone)

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
        coalesce(current_keys.customer_key, moved_to.customer_key) as customer_key,
        case
            when current_keys.customer_key is not null then 'current'
            when moved_to.customer_key is null then 'evidence_gone'
            when other_published.customer_key is not null then 'merged'
            else 'rekeyed'
        end as reason,
        coalesce(linked.linked_at, published_keys.received_at) as effective_at
    from published_keys
    left join current_keys on published_keys.customer_key = current_keys.customer_key
    left join moved_to on published_keys.customer_key = moved_to.old_customer_key
    left join published_keys as other_published
        on moved_to.customer_key = other_published.customer_key
    left join linked
        on coalesce(current_keys.customer_key, moved_to.customer_key) = linked.customer_key

)

select * from final
