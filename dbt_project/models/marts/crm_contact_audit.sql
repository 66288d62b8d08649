-- What the CRM believes, held against what the webhooks show; the crosswalk a CRM can import back.
with

matches as (

    select * from {{ ref('int_crm__contact_match') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

final as (

    select
        matches.crm_contact_id,
        matches.portfolio_id,
        matches.crm_phone,
        matches.crm_phone_e164,
        matches.verdict,
        case
            when matches.verdict <> 'stale_number' then matches.verdict_reason
            when customers.phone_e164 is null then matches.verdict_reason || ': ask for the new one'
            else matches.verdict_reason || ': the new one is known'
        end as verdict_reason,
        matches.customer_key,
        matches.phone_customer_key,
        matches.bsuid_customer_key,
        customers.current_bsuid,
        customers.phone_e164 as current_phone_e164,
        customers.username as current_username,
        customers.phone_status,
        customers.marketing_opt_out
    from matches
    left join customers
        on matches.portfolio_id = customers.portfolio_id
        and matches.customer_key = customers.customer_key

)

select * from final
