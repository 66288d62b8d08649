-- Invariant 1, R1: a BSUID in two customers of one portfolio is one person's history in two places.
with

identifiers as (

    select * from {{ ref('dim_customer_identifier') }} where identifier_type = 'bsuid'
    {{- of_this_run('and') }}

),

final as (

    select
        portfolio_id,
        identifier_value
    from identifiers
    group by all
    having count(distinct customer_key) > 1

)

select * from final
