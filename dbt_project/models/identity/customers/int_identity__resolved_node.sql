{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- The customer of every node there is; int_identity__customer_node has those that this run worked out.
with

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

final as (

    select
        island_id,
        portfolio_id,
        node_id,
        node_kind,
        identifier_value,
        customer_key,
        key_received_at,
        key_event_id,
        key_waba_id,
        key_identifier
    from customer_nodes

)

select * from final
