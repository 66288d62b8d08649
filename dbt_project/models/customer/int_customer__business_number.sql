{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- When each business number last dealt with a customer, over all of their nodes.
with

node_numbers as (

    select * from {{ ref('int_identity__node_business_number') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

final as (

    select
        min(customer_nodes.island_id) as island_id,
        customer_nodes.customer_key,
        node_numbers.portfolio_id,
        node_numbers.phone_number_id,
        min(node_numbers.first_seen_at) as first_seen_at,
        max(node_numbers.last_seen_at) as last_seen_at,
        max(node_numbers.phone_last_seen_at) as phone_last_seen_at,
        arg_max(node_numbers.last_phone, (node_numbers.phone_last_seen_at, node_numbers.last_phone))
            filter (where node_numbers.last_phone is not null) as last_phone,
        sum(node_numbers.observation_count) as observation_count
    from node_numbers
    inner join customer_nodes
        on node_numbers.portfolio_id = customer_nodes.portfolio_id
        and node_numbers.node_id = customer_nodes.node_id
    group by customer_nodes.customer_key, node_numbers.portfolio_id, node_numbers.phone_number_id

)

select * from final
