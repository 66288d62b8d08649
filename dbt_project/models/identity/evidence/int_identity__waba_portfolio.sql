-- Only the seed maps a WABA to its portfolio; open-ended ownership has no bounds.
with

accounts as (

    select * from {{ ref('business_accounts') }}

),

final as (

    select
        waba_id,
        portfolio_id,
        coalesce(valid_from, timestamp '0001-01-01') as valid_from,
        coalesce(valid_to, {{ end_of_time() }}) as valid_to
    from accounts

)

select * from final
