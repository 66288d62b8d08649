-- The islands that got new evidence since the last run, under their present and former numbers: what this run works
-- out. All of them when it rebuilds.
with

islands as (

    select * from {{ ref('int_identity__island') }}

),

newest as (

    select
        island_id,
        former_island_id
    from islands
    where load_id = (select max(load_id) from islands)

),

final as (

    select island_id from newest
    union
    select former_island_id as island_id from newest

)

select * from final
