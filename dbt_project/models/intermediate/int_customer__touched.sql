-- Customers, before and now, of all nodes that this run worked out again or that lost a username to one of them.
-- Empty when the run rebuilds.
with

nodes as (

    {{ now_and_before('int_identity__customer_node', 'portfolio_id, node_id, customer_key') }}

),

touched_nodes as (

    select * from {{ ref('int_identity__node') }}
    where {{ is_adding() }} and {{ touched('identifier_value') }}

),

other_nodes as (

    {{ differing('int_identity__customer_node', 'portfolio_id, node_id', touched('identifier_value')) }}

),

other_leases as (

    {{ differing('int_identity__username_lease', 'portfolio_id, bsuid', touched_username()) }}

),

concerned as (

    select portfolio_id, node_id from touched_nodes
    union
    select portfolio_id, node_id from other_nodes
    union
    select portfolio_id, {{ bsuid_node('bsuid') }} as node_id from other_leases

),

final as (

    select distinct nodes.customer_key
    from nodes
    inner join concerned using (portfolio_id, node_id)

)

select * from final
