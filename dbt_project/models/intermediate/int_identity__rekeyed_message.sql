-- Messages whose row in fct_message this run writes again: those touched, and all of nodes that came to
-- another customer. Empty when the run rebuilds.
with

touched as (

    select * from {{ ref('int_identity__touched_message') }}

),

message_nodes as (

    select * from {{ ref('int_identity__message_node') }} where {{ is_adding() }}

),

customers as (

    {{ differing('int_identity__customer_node', 'portfolio_id, node_id', touched('identifier_value')) }}

),

final as (

    select message_id from touched
    union
    select message_nodes.message_id
    from message_nodes
    inner join customers
        on message_nodes.portfolio_id = customers.portfolio_id
        and message_nodes.node_id = customers.node_id

)

select * from final
