-- R6: one phone, a second BSUID, no succession: the first holder lost the number.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

turns as (

    select
        portfolio_id,
        phone,
        bsuid as lost_by_bsuid,
        next_bsuid as taken_by_bsuid,
        next_valid_from as taken_at,
        last_paired_at
    from claims
    where next_bsuid <> bsuid and close_reason = 'other_bsuid'
    union all
    -- shown on it at the very moment at which the other took it
    select
        portfolio_id,
        phone,
        bsuid_at_once as lost_by_bsuid,
        bsuid as taken_by_bsuid,
        valid_from as taken_at,
        valid_from as last_paired_at
    from claims
    where bsuid_at_once is not null

),

takers as (

    select
        turns.*,
        claims.evidence_event_id,
        claims.opened_by,
        exists (
            select 1
            from claims as earlier
            where
                earlier.portfolio_id = turns.portfolio_id
                and earlier.phone = turns.phone
                and earlier.bsuid = turns.taken_by_bsuid
                and earlier.valid_from < turns.taken_at
        ) as has_come_back
    from turns
    inner join claims
        on turns.portfolio_id = claims.portfolio_id
        and turns.phone = claims.phone
        and turns.taken_by_bsuid = claims.bsuid
        and turns.taken_at = claims.valid_from

),

final as (

    select
        takers.*,
        loser.customer_key as lost_by_customer_key,
        taker.customer_key as taken_by_customer_key
    from takers
    inner join customer_nodes as loser
        on takers.portfolio_id = loser.portfolio_id
        and {{ bsuid_node('takers.lost_by_bsuid') }} = loser.node_id
    inner join customer_nodes as taker
        on takers.portfolio_id = taker.portfolio_id
        and {{ bsuid_node('takers.taken_by_bsuid') }} = taker.node_id
    where loser.customer_key <> taker.customer_key
    qualify row_number() over (
        partition by
            takers.portfolio_id, takers.phone, takers.lost_by_bsuid, takers.taken_by_bsuid, takers.taken_at
        order by takers.evidence_event_id, takers.last_paired_at desc
    ) = 1

)

select * from final
