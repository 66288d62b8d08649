{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- What an island's people and a business number dealt with each other, day by day, and the newest receipt of it.
with

sightings as (

    select * from {{ ref('int_identity__sighting') }}

),

counted as (

    select
        island_id,
        portfolio_id,
        phone_number_id,
        seen_at,
        received_at,
        bsuid,
        parent_bsuid,
        username,
        phone,
        observation_kind = 'message' and not is_ignored as is_message,
        observation_kind = 'status' and not is_ignored as is_status
    from sightings

),

final as (

    select
        island_id,
        portfolio_id,
        phone_number_id,
        cast(seen_at as date) as activity_date,
        min(received_at) as first_received_at,
        max(received_at) as newest_received_at,
        count(*) filter (where is_message) as message_count,
        count(*) filter (where is_status) as status_count,
        count(bsuid) filter (where is_message or is_status) as bsuid_count,
        count(parent_bsuid) filter (where is_message or is_status) as parent_bsuid_count,
        count(username) filter (where is_message or is_status) as username_count,
        count(phone) filter (where is_message or is_status) as phone_count,
        count(phone) filter (where is_message) as phone_shown_count
    from counted
    group by island_id, portfolio_id, phone_number_id, cast(seen_at as date)

)

select * from final
