-- R9: customers that ever showed an equal parent BSUID share an enterprise key, across portfolios.
with

parents as (

    select * from {{ ref('int_customer__parent') }}

),

components as (

    {{ connected_components('parents', [], 'left_node_id', 'right_node_id') }}

),

-- The key is that of the smallest customer in it, so that an enterprise of one is just that one.
final as (

    select
        substr(node_id, 10) as customer_key,
        min(substr(node_id, 10)) over (partition by label_id) as enterprise_customer_key
    from components
    where node_id like 'customer:%'

)

select * from final
