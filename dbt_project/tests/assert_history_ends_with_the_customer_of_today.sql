-- The last row of a customer's history is what dim_customer says of them: there is one "now".
with

customers as (

    select * from {{ ref('dim_customer') }}

),

current_history as (

    select * from {{ ref('dim_customer_history') }} where is_current

),

final as (

    select
        customers.portfolio_id,
        customers.customer_key
    from customers
    left join current_history
        on customers.portfolio_id = current_history.portfolio_id
        and customers.customer_key = current_history.customer_key
    where
        customers.current_bsuid is distinct from current_history.bsuid
        or customers.parent_bsuid is distinct from current_history.parent_bsuid
        or customers.wa_id is distinct from current_history.wa_id
        or customers.username is distinct from current_history.username
        or customers.identity_stage is distinct from current_history.identity_stage

)

select * from final
