-- R6: one phone, a second BSUID, no succession: the first holder lost the number.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

pairings as (

    select * from {{ ref('int_identity__pairing') }}

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
    where next_bsuid <> bsuid and close_reason = 'other_bsuid' and next_valid_from = valid_to

),

held_turns as (

    select
        turns.*,
        claims.evidence_event_id,
        claims.opened_by
    from turns
    inner join claims
        on turns.portfolio_id = claims.portfolio_id
        and turns.phone = claims.phone
        and turns.taken_by_bsuid = claims.bsuid
        and turns.taken_at = claims.valid_from

),

-- Whoever took it showed another phone at the same moment, and held this one for no time.
passing_turns as (

    select
        claims.portfolio_id,
        claims.phone,
        claims.bsuid as lost_by_bsuid,
        arg_max(pairings.bsuid, (pairings.received_at, pairings.event_id, pairings.bsuid)) as taken_by_bsuid,
        claims.valid_to as taken_at,
        claims.last_paired_at,
        arg_max(pairings.event_id, (pairings.received_at, pairings.event_id, pairings.bsuid)) as evidence_event_id,
        arg_max(pairings.observation_kind, (pairings.received_at, pairings.event_id, pairings.bsuid)) as opened_by
    from claims
    inner join pairings
        on claims.portfolio_id = pairings.portfolio_id
        and claims.phone = pairings.phone
        and claims.valid_to = pairings.evidence_at
        and claims.bsuid <> pairings.bsuid
    where claims.close_reason = 'other_bsuid' and claims.next_valid_from is distinct from claims.valid_to
    group by all

),

-- Whoever was shown on it at the very moment at which another took it.
momentary_turns as (

    select distinct
        claims.portfolio_id,
        claims.phone,
        pairings.bsuid as lost_by_bsuid,
        claims.bsuid as taken_by_bsuid,
        claims.valid_from as taken_at,
        claims.valid_from as last_paired_at,
        claims.evidence_event_id,
        claims.opened_by
    from claims
    inner join pairings
        on claims.portfolio_id = pairings.portfolio_id
        and claims.phone = pairings.phone
        and claims.valid_from = pairings.evidence_at
        and claims.bsuid <> pairings.bsuid
    where claims.bsuid_at_once is not null

),

all_turns as (

    select * from held_turns
    union all by name
    select * from passing_turns
    union all by name
    select * from momentary_turns

),

takers as (

    select
        all_turns.*,
        exists (
            select 1
            from claims as earlier
            where
                earlier.portfolio_id = all_turns.portfolio_id
                and earlier.phone = all_turns.phone
                and earlier.bsuid = all_turns.taken_by_bsuid
                and earlier.valid_from < all_turns.taken_at
        ) as has_come_back
    from all_turns

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
