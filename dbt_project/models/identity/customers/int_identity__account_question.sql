-- What webhooks leave open about the business itself: which portfolio its accounts belong to, who sends what is no
-- identifier, and what is sent that no model reads.
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

unrecognised as (

    select * from {{ ref('stg_whatsapp__unrecognised') }}
    where not is_documented

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

-- A field or type that is new to everybody is asked about once.
unrecognised_field as (

    select
        coalesce(
            arg_min(accounts.portfolio_id, unrecognised.first_received_at),
            'waba:' || arg_min(unrecognised.example_waba_id, unrecognised.first_received_at),
            'unknown'
        ) as portfolio_id,
        'unrecognised_field' as kind,
        'unknown' as left_type,
        unrecognised.path as left_value,
        unrecognised.kind as subject,
        min(unrecognised.first_received_at) as first_seen_at,
        max(unrecognised.last_received_at) as last_seen_at,
        0.1 as score,
        min(unrecognised.example_landing_file) as evidence_landing_file,
        arg_min(
            unrecognised.example_line_number, (unrecognised.example_landing_file, unrecognised.example_line_number)
        ) as evidence_line_number
    from unrecognised
    left join accounts
        on unrecognised.example_waba_id = accounts.waba_id
        and unrecognised.first_received_at >= accounts.valid_from
        and unrecognised.first_received_at < accounts.valid_to
    group by unrecognised.kind, unrecognised.path

),

unioned as (

    select * from bsuid_in_two_portfolios
    union all by name
    select * from portfolio_mapping_proposed
    union all by name
    select * from unmapped_waba
    union all by name
    select * from malformed_identifier
    union all by name
    select * from unrecognised_field

),

final as (

    select
        *,
        1 as occurrence_count
    from unioned

)

select * from final
