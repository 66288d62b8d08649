-- Invariant 1: at any moment one phone in one portfolio has at most one holder.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

final as (

    select
        one.portfolio_id,
        one.phone,
        one.bsuid,
        other.bsuid as other_bsuid
    from claims as one
    inner join claims as other
        on one.portfolio_id = other.portfolio_id
        and one.phone = other.phone
        and one.valid_from < other.valid_to
        and other.valid_from < one.valid_to
        and (one.bsuid, one.valid_from) < (other.bsuid, other.valid_from)

)

select * from final
