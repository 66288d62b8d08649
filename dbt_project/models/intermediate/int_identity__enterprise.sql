-- R9: customers that ever showed an equal parent BSUID share an enterprise key, across portfolios.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where bsuid is not null and parent_bsuid is not null

),

changes as (

    select * from {{ ref('int_identity__change') }}
    where old_parent_bsuid is not null and new_parent_bsuid is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

shown as (

    select distinct
        customer_nodes.customer_key,
        observations.parent_bsuid
    from observations
    inner join customer_nodes
        on observations.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('observations.bsuid') }} = customer_nodes.node_id

),

edges as (

    select
        'customer:' || customer_key as left_node_id,
        'parent:' || parent_bsuid as right_node_id
    from shown
    union
    select
        'parent:' || old_parent_bsuid as left_node_id,
        'parent:' || new_parent_bsuid as right_node_id
    from changes

),

scoped_edges as (

    select 'all' as scope, *
    from edges

),

components as (

    {{ connected_components('scoped_edges', ['scope'], 'left_node_id', 'right_node_id') }}

),

customers as (

    select distinct
        customer_key,
        'customer:' || customer_key as node_id
    from shown

),

-- The key is that of the smallest customer in it, so that an enterprise of one is just that one.
final as (

    select
        customers.customer_key,
        min(customers.customer_key) over (partition by components.label_id) as enterprise_customer_key
    from components
    inner join customers using (node_id)

)

select * from final
