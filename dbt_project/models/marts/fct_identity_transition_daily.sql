-- Where a portfolio stands in the change from phone numbers to BSUIDs, day by day.
with

daily as (

    select * from {{ ref('int_customer__daily') }}
    {{- unless_quarantined() }}

),

activity as (

    select * from {{ ref('int_identity__activity') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

-- A portfolio's days begin with its first customer.
bounds as (

    select
        daily.portfolio_id,
        min(daily.activity_date) as first_date,
        max(as_of.as_of)::date as last_date
    from daily
    cross join as_of
    where daily.phone_only <> 0 or daily.linked <> 0 or daily.bsuid_only <> 0
    group by daily.portfolio_id

),

days as (

    select
        portfolio_id,
        unnest(generate_series(first_date, last_date, interval 1 day))::date as activity_date
    from bounds

),

turned as (

    select
        portfolio_id,
        activity_date,
        sum(phone_only) as phone_only,
        sum(linked) as linked,
        sum(bsuid_only) as bsuid_only,
        sum(with_username) as with_username,
        sum(at_risk) as at_risk,
        sum(phone_visible) as phone_visible,
        sum(phone_hidden) as phone_hidden,
        sum(rotations) as rotations,
        sum(possible_missed_rotations) as possible_missed_rotations
    from daily
    group by portfolio_id, activity_date

),

shown as (

    select
        portfolio_id,
        activity_date,
        sum(phone_shown_count) as phone_visible_count,
        sum(message_count) - sum(phone_shown_count) as phone_hidden_count
    from activity
    group by portfolio_id, activity_date

),

final as (

    select
        days.portfolio_id,
        days.activity_date,
        sum(coalesce(turned.phone_only, 0)) over so_far::bigint as phone_only_customers,
        sum(coalesce(turned.linked, 0)) over so_far::bigint as linked_customers,
        sum(coalesce(turned.bsuid_only, 0)) over so_far::bigint as bsuid_only_customers,
        sum(coalesce(turned.with_username, 0)) over so_far::bigint as username_customers,
        sum(coalesce(turned.at_risk, 0)) over so_far::bigint as at_risk_customers,
        sum(coalesce(turned.phone_visible, 0)) over so_far::bigint as phone_visible_customers,
        sum(coalesce(turned.phone_hidden, 0)) over so_far::bigint as phone_hidden_customers,
        coalesce(shown.phone_visible_count, 0)::bigint as phone_visible_messages,
        coalesce(shown.phone_hidden_count, 0)::bigint as phone_hidden_messages,
        coalesce(turned.rotations, 0)::bigint as rotations,
        coalesce(turned.possible_missed_rotations, 0)::bigint as possible_missed_rotations
    from days
    left join turned using (portfolio_id, activity_date)
    left join shown using (portfolio_id, activity_date)
    window so_far as (
        partition by days.portfolio_id order by days.activity_date
        rows between unbounded preceding and current row
    )

)

select * from final
