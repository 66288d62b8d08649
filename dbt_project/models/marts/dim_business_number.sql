-- The business's own numbers, under their names.
with

numbers as (

    select * from {{ ref('int_identity__business_number') }}

),

accounts as (

    select * from {{ ref('business_accounts') }}

),

names as (

    select
        waba_id,
        arg_max(business_name, coalesce(valid_from, timestamp '0001-01-01')) as business_name
    from accounts
    group by waba_id

),

final as (

    select
        numbers.phone_number_id,
        numbers.portfolio_id,
        numbers.waba_id,
        numbers.display_phone_number,
        names.business_name,
        numbers.first_seen_at,
        numbers.last_seen_at
    from numbers
    left join names on numbers.waba_id = names.waba_id

)

select * from final
