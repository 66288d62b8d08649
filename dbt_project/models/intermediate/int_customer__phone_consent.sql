-- A number may be called or texted when its holder attested it, or the CRM declares consent for it.
with

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    where identifier_type = 'phone' and valid_to is null

),

attested as (

    select * from {{ ref('int_identity__attested_phone') }} where not is_void

),

contacts as (

    select * from {{ ref('int_crm__contact') }} where phone_consent

),

phones as (

    select * from {{ ref('int_phone__number') }}

),

consented as (

    select portfolio_id, phone from attested
    union
    select
        contacts.portfolio_id,
        wire_phones.phone
    from contacts
    inner join phones as typed_phones
        on contacts.phone = typed_phones.phone
        and contacts.default_country = typed_phones.default_country
    inner join phones as wire_phones
        on typed_phones.match_key = wire_phones.match_key
        and wire_phones.default_country is null

),

final as (

    select distinct
        identifiers.portfolio_id,
        identifiers.customer_key
    from identifiers
    inner join consented
        on identifiers.portfolio_id = consented.portfolio_id
        and identifiers.identifier_value = consented.phone

)

select * from final
