{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- R9: parent BSUIDs that a customer showed, and those that one change names.
with

sightings as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and parent_bsuid is not null

),

changes as (

    select * from {{ ref('int_identity__change') }}
    where old_parent_bsuid is not null and new_parent_bsuid is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

final as (

    select distinct
        customer_nodes.island_id,
        'customer:' || customer_nodes.customer_key as left_node_id,
        'parent:' || sightings.parent_bsuid as right_node_id
    from sightings
    inner join customer_nodes
        on sightings.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('sightings.bsuid') }} = customer_nodes.node_id
    union
    select
        island_id,
        'parent:' || old_parent_bsuid as left_node_id,
        'parent:' || new_parent_bsuid as right_node_id
    from changes

)

select * from final
