-- R1: customers are the connected components over links; each is named by its smallest node.
with

links as (

    select * from {{ ref('int_identity__link') }}

),

final as (

    {{ connected_components('links', ['portfolio_id'], 'left_node_id', 'right_node_id') }}

)

select * from final
