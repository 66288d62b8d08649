-- How sure WhatsApp is to keep showing a customer's phone, as of today.
with

customer_phones as (

    select * from {{ ref('int_customer__phone') }}

),

profiles as (

    select * from {{ ref('int_customer__profile') }}

),

accounts as (

    select * from {{ ref('business_accounts') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

-- A contact book nobody declared is not counted on.
contact_books as (

    select
        accounts.portfolio_id,
        bool_or(
            accounts.contact_book_from <= as_of.as_of
            and coalesce(accounts.contact_book_to > as_of.as_of, true)
        ) as has_contact_book
    from accounts
    cross join as_of
    group by accounts.portfolio_id

),

dated as (

    select
        customer_phones.*,
        profiles.is_newest_inbound_with_phone,
        profiles.username is not null
        and not coalesce(contact_books.has_contact_book, false)
        and profiles.is_newest_inbound_with_phone as may_be_hidden,
        customer_phones.phone_window_closes_at <= as_of.as_of as is_closed,
        customer_phones.phone_window_closes_at
        <= as_of.as_of + interval ({{ var('window_closing_days') }}) day as is_closing
    from customer_phones
    inner join profiles
        on customer_phones.portfolio_id = profiles.portfolio_id
        and customer_phones.customer_key = profiles.customer_key
    left join contact_books on customer_phones.portfolio_id = contact_books.portfolio_id
    cross join as_of

),

final as (

    select
        portfolio_id,
        customer_key,
        case
            when phone_count = 0 then 'never_seen'
            when wa_id is null then 'released'
            when phone_source = 'attested' then 'attested'
            when may_be_hidden and is_closed then 'window_closed'
            when may_be_hidden and is_closing then 'window_closing'
            when not is_newest_inbound_with_phone then 'hidden'
            else 'visible'
        end as phone_status
    from dated

)

select * from final
