-- Invariant 1: at any moment one phone in one portfolio has at most one holder.
with

claims as (

    select * from {{ ref('dim_customer_identifier') }}
    where identifier_type = 'phone' and link_rule = 'R3'
    {{- of_this_run('and') }}

),

final as (

    select
        one.portfolio_id,
        one.identifier_value,
        one.customer_key,
        other.customer_key as other_customer_key
    from claims as one
    inner join claims as other
        on one.portfolio_id = other.portfolio_id
        and one.identifier_value = other.identifier_value
        and one.valid_from < coalesce(other.valid_to, {{ end_of_time() }})
        and other.valid_from < coalesce(one.valid_to, {{ end_of_time() }})
        and (one.customer_key, one.valid_from) < (other.customer_key, other.valid_from)

)

select * from final
