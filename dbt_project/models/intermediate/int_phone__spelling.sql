-- Every way a phone is written: by WhatsApp without a country to assume, by people with one.
with

observations as (

    select * from {{ ref('int_identity__observation') }}

),

contacts as (

    select * from {{ ref('int_crm__contact') }}

),

final as (

    select phone, null::varchar as default_country
    from observations
    where phone is not null
    union
    select phone, default_country
    from contacts
    where phone is not null

)

select * from final
