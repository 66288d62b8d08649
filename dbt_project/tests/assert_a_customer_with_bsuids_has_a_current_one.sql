-- A BSUID ends only where it became another one of the same customer: so one of them always lasts.
with

customers as (

    select * from {{ ref('dim_customer') }}

),

final as (

    select
        portfolio_id,
        customer_key
    from customers
    where bsuid_count > 0 and current_bsuid is null

)

select * from final
