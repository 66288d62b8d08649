-- Customers whose number the CRM declares consent for. A contact that could mean somebody else, such as
-- a former holder of the number, declares nothing.
with

contacts as (

    select * from {{ ref('int_crm__contact') }} where phone_consent

),

matches as (

    select * from {{ ref('int_crm__contact_match') }} where verdict in ('linked', 'phone_only')

),

final as (

    select distinct
        matches.portfolio_id,
        matches.customer_key
    from contacts
    inner join matches using (crm_contact_id)
    where matches.customer_key = matches.phone_customer_key

)

select * from final
