-- Everybody whom the difference may concern: who shares a phone, a change, an override or another
-- spelling of a phone with it, however far. Identity never looks further. Empty when the run rebuilds.
with

differences as (

    select * from {{ ref('int_identity__difference') }}

),

observations as (

    select * from {{ ref('int_identity__observation') }}
    where bsuid is not null and phone is not null and {{ is_adding() }}

),

changes as (

    select * from {{ ref('int_identity__change') }} where {{ is_adding() }}

),

overrides as (

    select * from {{ ref('identity_overrides') }} where {{ is_adding() }}

),

phones as (

    select * from {{ ref('int_phone__number') }}
    where default_country is null and phone <> match_key

),

-- Overrides hold phones and BSUIDs in one column; their shapes differ.
differing as (

    select portfolio_id, bsuid as identifier_value from differences
    union
    select portfolio_id, phone as identifier_value from differences

),

together as (

    select portfolio_id, bsuid as identifier_value, phone as met_at from observations
    union
    select
        portfolio_id,
        unnest([old_bsuid, body_old_bsuid, new_bsuid, old_phone, new_phone]) as identifier_value,
        change_id as met_at
    from changes
    union
    select
        portfolio_id,
        unnest([left_value, right_value]) as identifier_value,
        left_value as met_at
    from overrides
    union
    select
        portfolios.portfolio_id,
        phones.phone as identifier_value,
        phones.match_key as met_at
    from phones
    cross join (select distinct portfolio_id from differing) as portfolios

),

neighbours as (

    select portfolio_id, identifier_value, met_at as neighbour from together
    union all
    select portfolio_id, met_at as identifier_value, identifier_value as neighbour from together

),

reached as (

    with recursive reaching as (

        select portfolio_id, identifier_value
        from differing
        where identifier_value is not null
        union
        select
            neighbours.portfolio_id,
            neighbours.neighbour as identifier_value
        from reaching
        inner join neighbours using (portfolio_id, identifier_value)
        where neighbours.neighbour is not null

    )

    select * from reaching

),

final as (

    select
        portfolio_id,
        identifier_value
    from reached

)

select * from final
