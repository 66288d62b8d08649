-- Phones that lie in other stretches than before this run: whatever was seen on them is assigned again.
-- Empty when the run rebuilds.
with

moved as (

    select * from {{ ref('int_identity__moved_phone') }}

),

aliases as (

    select * from {{ ref('int_identity__phone_alias') }}

),

segments as (

    {{ differing('int_identity__phone_segment', 'portfolio_id, phone', touched('phone')) }}

),

arrivals as (

    {{ differing('int_identity__phone_arrival', 'portfolio_id, phone') }}

),

known_phones as (

    select portfolio_id, phone from segments
    union
    select portfolio_id, phone from arrivals

),

final as (

    select portfolio_id, phone from moved
    union
    select portfolio_id, phone from known_phones
    union
    select aliases.portfolio_id, aliases.phone
    from aliases
    inner join known_phones
        on aliases.portfolio_id = known_phones.portfolio_id
        and aliases.known_phone = known_phones.phone

)

select * from final
