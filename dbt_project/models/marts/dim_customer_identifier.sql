{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
) }}

-- Every identifier a customer held, and when.
with

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    {{- of_this_run() }}
    {{- unless_quarantined('and') }}

),

final as (

    select
        island_id,
        customer_key,
        portfolio_id,
        identifier_type,
        identifier_value,
        valid_from,
        valid_to,
        valid_to is null as is_current,
        first_seen_at,
        last_seen_at,
        evidence_tier,
        link_rule,
        evidence_event_id,
        observation_count
    from identifiers

)

select * from final
