-- Phones that were held, cut or spelled otherwise before this run: whatever was seen on them is placed
-- again. Empty when the run rebuilds.
with

holders as (

    {{ differing('int_identity__phone_holder', 'portfolio_id, phone', touched('phone')) }}

),

cuts as (

    {{ differing('int_identity__phone_cut', 'portfolio_id, phone') }}

),

respelled as (

    {{ differing('int_identity__phone_alias', 'portfolio_id, phone', touched('phone')) }}

),

aliases as (

    select * from {{ ref('int_identity__phone_alias') }}

),

known_phones as (

    select portfolio_id, phone from holders
    union
    select portfolio_id, phone from cuts

),

final as (

    select portfolio_id, phone from known_phones
    union
    select aliases.portfolio_id, aliases.phone
    from aliases
    inner join known_phones
        on aliases.portfolio_id = known_phones.portfolio_id
        and aliases.known_phone = known_phones.phone
    union
    select portfolio_id, phone from respelled

)

select * from final
