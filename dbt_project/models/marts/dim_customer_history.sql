{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
) }}

-- What a customer went by, over event time (SCD2).
with

history as (

    select * from {{ ref('int_customer__history') }}
    {{- unless_quarantined() }}

),

final as (

    select
        island_id,
        customer_key,
        portfolio_id,
        bsuid,
        parent_bsuid,
        wa_id,
        username,
        identity_stage,
        valid_from,
        valid_to,
        is_current
    from history

)

select * from final
