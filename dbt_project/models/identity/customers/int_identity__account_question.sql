-- What webhooks leave open about the business itself: which portfolio its accounts belong to, and who sends what is no
-- identifier.
with

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

account_updates as (

    select * from {{ ref('stg_whatsapp__account_update') }}

),

nodes as (

    select * from {{ ref('int_identity__resolved_node') }}

),

observations as not materialized (

    select * from {{ ref('int_identity__observation') }}

),

bsuids_of_two as (

    select identifier_value as bsuid
    from nodes
    where node_kind = 'bsuid'
    group by identifier_value
    having min(portfolio_id) <> max(portfolio_id)

),

bsuid_wabas as (

    select distinct
        observations.portfolio_id,
        observations.waba_id,
        observations.bsuid
    from observations
    inner join bsuids_of_two using (bsuid)
    where observations.waba_id is not null

),

-- A BSUID is unique within a portfolio: two of them showing one are probably the same portfolio.
bsuid_in_two_portfolios as (

    select
        one.portfolio_id,
        'bsuid_in_two_portfolios' as kind,
        'waba' as left_type,
        one.waba_id as left_value,
        'waba' as right_type,
        other.waba_id as right_value,
        other.portfolio_id as subject,
        min(one.bsuid) as evidence_event_id,
        null::timestamp as first_seen_at,
        null::timestamp as last_seen_at,
        0.9 as score
    from bsuid_wabas as one
    inner join bsuid_wabas as other
        on one.bsuid = other.bsuid
        and one.portfolio_id < other.portfolio_id
    group by one.portfolio_id, one.waba_id, other.waba_id, other.portfolio_id

),

portfolio_mapping_proposed as (

    select
        coalesce(accounts.portfolio_id, 'waba:' || account_updates.updated_waba_id) as portfolio_id,
        'portfolio_mapping_proposed' as kind,
        'waba' as left_type,
        account_updates.updated_waba_id as left_value,
        'portfolio' as right_type,
        account_updates.owner_business_id as right_value,
        accounts.portfolio_id as subject,
        min(account_updates.event_id) as evidence_event_id,
        min(account_updates.evidence_at) as first_seen_at,
        max(account_updates.evidence_at) as last_seen_at,
        0.9 as score
    from account_updates
    left join accounts on account_updates.updated_waba_id = accounts.waba_id
    where
        account_updates.owner_business_id is not null
        and account_updates.updated_waba_id is not null
        and account_updates.owner_business_id is distinct from accounts.portfolio_id
    group by all

),

unmapped_waba as (

    select
        portfolio_id,
        'unmapped_waba' as kind,
        'waba' as left_type,
        waba_id as left_value,
        null as right_type,
        null as right_value,
        null as subject,
        arg_min(event_id, (received_at, event_id)) as evidence_event_id,
        min(evidence_at) as first_seen_at,
        max(evidence_at) as last_seen_at,
        1.0 as score
    from observations
    where portfolio_id = 'waba:' || waba_id
    group by all

),

malformed_identifier as (

    select
        portfolio_id,
        'malformed_identifier' as kind,
        'unknown' as left_type,
        malformed_value as left_value,
        null as right_type,
        null as right_value,
        null as subject,
        arg_min(event_id, (received_at, event_id)) as evidence_event_id,
        min(evidence_at) as first_seen_at,
        max(evidence_at) as last_seen_at,
        0.1 as score
    from observations
    where malformed_value is not null
    group by all

),

unioned as (

    select * from bsuid_in_two_portfolios
    union all
    select * from portfolio_mapping_proposed
    union all
    select * from unmapped_waba
    union all
    select * from malformed_identifier

),

final as (

    select
        *,
        1 as occurrence_count
    from unioned

)

select * from final
