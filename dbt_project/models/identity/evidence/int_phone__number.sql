{{ config(materialized='incremental') }}

-- Every phone on the wire and every phone in the CRM, read once by the phonenumbers library.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    {{- landed_since() }}

),

changes as (

    select * from {{ ref('int_identity__change_copy') }}
    {{- landed_since() }}

),

contacts as (

    select * from {{ ref('int_crm__contact') }}

),

written as (

    select
        phone,
        null as default_country,
        load_id
    from observations
    union all
    select
        unnest([old_phone, new_phone]) as phone,
        null as default_country,
        load_id
    from changes
    union all
    select
        phone,
        default_country,
        0 as load_id
    from contacts

),

phones as (

    select
        phone,
        default_country,
        min(load_id) as load_id
    from written
    where phone is not null
    group by phone, default_country

),

{%- if is_incremental() %}

unread as (

    select phones.*
    from phones
    anti join {{ this }} as known
        on phones.phone = known.phone
        and phones.default_country is not distinct from known.default_country

),
{%- else %}

unread as (

    select * from phones

),
{%- endif %}

final as (

    select
        phone,
        default_country,
        unnest(read_phone(phone, default_country)),
        load_id
    from unread

)

select * from final
