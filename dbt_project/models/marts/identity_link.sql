{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
) }}

-- The identity graph, and the answer to "why is this one customer".
with

links as (

    select * from {{ ref('int_identity__link') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}
    {{- unless_quarantined() }}

),

final as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        links.portfolio_id,
        links.left_node_id,
        links.right_node_id,
        links.link_rule,
        links.link_detail,
        links.evidence_tier,
        links.evidence_event_id,
        links.linked_at
    from links
    inner join customer_nodes
        on links.portfolio_id = customer_nodes.portfolio_id
        and links.left_node_id = customer_nodes.node_id

)

select * from final
