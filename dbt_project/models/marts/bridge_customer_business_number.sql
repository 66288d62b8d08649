-- Which business numbers know a customer, and until when WhatsApp must show them the phone.
with

business_numbers as (

    select * from {{ ref('int_customer__business_number') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

windows as (

    select
        *,
        phone_last_seen_at + interval ({{ var('phone_window_days') }}) day as closes_at
    from business_numbers

),

final as (

    select
        windows.customer_key,
        windows.portfolio_id,
        windows.phone_number_id,
        windows.first_seen_at,
        windows.last_seen_at,
        windows.phone_last_seen_at,
        windows.closes_at as phone_window_closes_at,
        case
            when windows.phone_last_seen_at is null then 'never_seen'
            when windows.last_phone is distinct from customers.wa_id then 'released'
            when windows.closes_at <= as_of.as_of then 'closed'
            when
                windows.closes_at
                <= as_of.as_of + interval ({{ var('window_closing_days') }}) day
                then 'closing'
            else 'open'
        end as phone_window_status,
        windows.observation_count::bigint as observation_count
    from windows
    inner join customers
        on windows.portfolio_id = customers.portfolio_id
        and windows.customer_key = customers.customer_key
    cross join as_of

)

select * from final
