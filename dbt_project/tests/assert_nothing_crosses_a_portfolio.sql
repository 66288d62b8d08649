-- Invariant 6: a customer's messages, links and identifiers stay in the customer's portfolio.
with

customers as (

    select * from {{ ref('dim_customer') }}

),

messages as (

    select * from {{ ref('fct_message') }}
    {{- of_this_run() }}

),

identifiers as (

    select * from {{ ref('dim_customer_identifier') }}
    {{- of_this_run() }}

),

links as (

    select * from {{ ref('identity_link') }}
    {{- of_this_run() }}

),

pieces as (

    select customer_key, portfolio_id from messages
    union
    select customer_key, portfolio_id from identifiers
    union
    select customer_key, portfolio_id from links

),

final as (

    select
        pieces.customer_key,
        pieces.portfolio_id
    from pieces
    inner join customers using (customer_key)
    where pieces.portfolio_id <> customers.portfolio_id

)

select * from final
