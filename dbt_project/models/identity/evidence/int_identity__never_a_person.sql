-- The business's own numbers and the identifiers somebody asked to ignore never make a customer.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

ignored as (

    select * from {{ ref('ignored_identifiers') }}

),

numbers as (

    select
        waba_id,
        regexp_replace(display_phone_number, '[^0-9]', '', 'g') as phone,
        min(received_at) as evidence_at,
        min(load_id) as load_id
    from items
    where display_phone_number is not null
    group by all

),

own_numbers as (

    select distinct
        {{ portfolio_id_of('accounts', 'numbers') }} as portfolio_id,
        numbers.phone as identifier_value,
        'own_number' as reason,
        numbers.load_id
    from numbers
    left join accounts on {{ owned_at('accounts', 'numbers') }}

),

ignored_identifiers as (

    select distinct
        portfolio_id,
        identifier_value,
        'ignored' as reason,
        0 as load_id
    from ignored

),

final as (

    select
        portfolio_id,
        identifier_value,
        min(reason) as reason,
        -- since when it is known to be nobody's
        min(load_id) as load_id
    from (
        select * from own_numbers
        union all
        select * from ignored_identifiers
    )
    group by portfolio_id, identifier_value

)

select * from final
