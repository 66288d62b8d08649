-- R1: both ends of every link are in one customer; the graph explains the customers and nothing else does.
with

links as (

    select * from {{ ref('identity_link') }}
    {{- of_this_run() }}

),

customer_nodes as (

    select * from {{ ref('int_identity__resolved_node') }}
    {{- of_this_run() }}

),

final as (

    select
        links.portfolio_id,
        links.left_node_id,
        links.right_node_id
    from links
    left join customer_nodes as right_node
        on links.portfolio_id = right_node.portfolio_id and links.right_node_id = right_node.node_id
    where links.customer_key is distinct from right_node.customer_key

)

select * from final
