-- Invariant 8: what breaks an invariant is set aside and told in identity_review; where that is more than a few customers
-- something is wrong with the rules or the data as a whole, and nothing is published.
with

quarantine as (

    select * from {{ ref('int_customer__quarantine') }}

),

nodes as (

    select * from {{ ref('int_identity__resolved_node') }}

),

counted as (

    select
        count(distinct customer_key) as customers,
        count(distinct customer_key) filter (where island_id in (select island_id from quarantine)) as set_aside
    from nodes

),

final as (

    select *
    from counted
    where set_aside > greatest({{ var('quarantine_free_customers') }}, customers * {{ var('quarantine_max_share') }})

)

select * from final
