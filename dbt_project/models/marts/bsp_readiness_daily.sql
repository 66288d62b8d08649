-- How ready each business number's webhooks are for customers without a phone number.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where observation_kind in ('message', 'status') and phone_number_id is not null and not is_ignored

),

daily as (

    select
        portfolio_id,
        phone_number_id,
        seen_at::date as activity_date,
        count(*) as event_count,
        count(*) filter (where observation_kind = 'message') as message_count,
        count(*) filter (where observation_kind = 'status') as status_count,
        count(bsuid) as bsuid_count,
        count(parent_bsuid) as parent_bsuid_count,
        count(username) as username_count,
        count(phone) as phone_count
    from observations
    group by all

),

first_days as (

    select
        portfolio_id,
        phone_number_id,
        min(activity_date) filter (where bsuid_count > 0) as first_bsuid_date,
        min(activity_date) filter (where parent_bsuid_count > 0) as first_parent_bsuid_date,
        min(activity_date) filter (where username_count > 0) as first_username_date
    from daily
    group by all

),

final as (

    select
        daily.portfolio_id,
        daily.phone_number_id,
        daily.activity_date,
        daily.message_count,
        daily.status_count,
        daily.bsuid_count / daily.event_count as bsuid_share,
        daily.parent_bsuid_count / daily.event_count as parent_bsuid_share,
        daily.username_count / daily.event_count as username_share,
        daily.phone_count / daily.event_count as phone_share,
        first_days.first_bsuid_date,
        first_days.first_parent_bsuid_date,
        first_days.first_username_date
    from daily
    inner join first_days using (portfolio_id, phone_number_id)

)

select * from final
