-- Invariant 5: a key ever published leads to a customer that is there, in one step.
with

redirects as (

    select * from {{ ref('customer_key_redirect') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

published_keys as (

    select * from {{ source('raw', 'published_key') }}

),

final as (

    select published_keys.customer_key
    from published_keys
    left join redirects on published_keys.customer_key = redirects.old_customer_key
    left join customers on redirects.customer_key = customers.customer_key
    where customers.customer_key is null and coalesce(redirects.reason, '') not in ('evidence_gone', 'quarantined', 'erased')

)

select * from final
