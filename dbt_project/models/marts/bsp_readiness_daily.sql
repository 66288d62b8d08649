-- How ready each business number's webhooks are for customers without a phone number.
with

activity as (

    select * from {{ ref('int_identity__activity') }} where phone_number_id is not null

),

daily as (

    select
        portfolio_id,
        phone_number_id,
        activity_date,
        sum(message_count + status_count)::bigint as event_count,
        sum(message_count)::bigint as message_count,
        sum(status_count)::bigint as status_count,
        sum(bsuid_count)::bigint as bsuid_count,
        sum(parent_bsuid_count)::bigint as parent_bsuid_count,
        sum(username_count)::bigint as username_count,
        sum(phone_count)::bigint as phone_count
    from activity
    group by portfolio_id, phone_number_id, activity_date
    having sum(message_count + status_count) > 0

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
