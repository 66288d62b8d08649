-- CRM contacts with the country that their numbers are to be read in.
with

contacts as (

    select * from {{ ref('crm_contacts') }}

),

accounts as (

    select * from {{ ref('business_accounts') }}

),

countries as (

    select
        portfolio_id,
        min(default_country) as default_country
    from accounts
    group by portfolio_id

),

final as (

    select
        contacts.crm_contact_id,
        contacts.portfolio_id,
        nullif(trim(contacts.phone), '') as phone,
        coalesce(countries.default_country, 'ZZ') as default_country,
        nullif(trim(contacts.bsuid), '') as bsuid,
        {{ normalised_username('contacts.username') }} as username,
        contacts.name,
        coalesce(contacts.phone_consent, false) as phone_consent
    from contacts
    left join countries on contacts.portfolio_id = countries.portfolio_id

)

select * from final
