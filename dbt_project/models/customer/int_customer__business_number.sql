{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- When each business number last dealt with a customer, and last saw their phone: windows are per number.
with

sightings as (

    select * from {{ ref('int_identity__customer_sighting') }} where phone_number_id is not null

),

final as (

    select
        min(island_id) as island_id,
        customer_key,
        portfolio_id,
        phone_number_id,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        max(evidence_at) filter (where phone is not null and observation_kind <> 'history') as phone_last_seen_at,
        arg_max(phone, (evidence_at, phone))
            filter (where phone is not null and observation_kind <> 'history') as last_phone,
        count(*) as observation_count
    from sightings
    group by customer_key, portfolio_id, phone_number_id

)

select * from final
