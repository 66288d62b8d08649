-- Where a portfolio stands in the change from phone numbers to BSUIDs, day by day.
with

history as (

    select * from {{ ref('dim_customer_history') }}

),

visibility as (

    select * from {{ ref('int_customer__phone_visibility') }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

missed as (

    select * from {{ ref('int_identity__missed_rotation') }}

),

observations as (

    select * from {{ ref('int_identity__observation') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

bounds as (

    select
        history.portfolio_id,
        min(history.valid_from)::date as first_date,
        max(as_of.as_of)::date as last_date
    from history
    cross join as_of
    group by all

),

days as (

    select
        portfolio_id,
        unnest(generate_series(first_date, last_date, interval 1 day))::date as activity_date
    from bounds

),

-- A state counts from the day it begins to the day it ends: the sum of comings and goings so far.
turns as (

    select
        portfolio_id,
        valid_from::date as activity_date,
        identity_stage,
        wa_id is not null as has_phone,
        username is not null as has_username,
        1 as difference
    from history
    union all
    select
        portfolio_id,
        valid_to::date as activity_date,
        identity_stage,
        wa_id is not null as has_phone,
        username is not null as has_username,
        -1 as difference
    from history
    where valid_to is not null

),

turned as (

    select
        portfolio_id,
        activity_date,
        sum(difference) filter (where identity_stage = 'phone_only') as phone_only,
        sum(difference) filter (where identity_stage = 'linked') as linked,
        sum(difference) filter (where identity_stage = 'bsuid_only') as bsuid_only,
        sum(difference) filter (where has_username) as with_username,
        sum(difference) filter (where has_username and has_phone) as at_risk
    from turns
    group by all

),

visibility_turns as (

    select
        portfolio_id,
        valid_from::date as activity_date,
        is_phone_shown,
        1 as difference
    from visibility
    union all
    select
        portfolio_id,
        valid_to::date as activity_date,
        is_phone_shown,
        -1 as difference
    from visibility
    where valid_to is not null

),

visibility_turned as (

    select
        portfolio_id,
        activity_date,
        sum(difference) filter (where is_phone_shown) as phone_visible,
        sum(difference) filter (where not is_phone_shown) as phone_hidden
    from visibility_turns
    group by all

),

shown as (

    select
        portfolio_id,
        seen_at::date as activity_date,
        count(*) filter (where phone is not null) as phone_visible_count,
        count(*) filter (where phone is null) as phone_hidden_count
    from observations
    where observation_kind = 'message' and not is_ignored
    group by all

),

rotated as (

    select
        portfolio_id,
        changed_at::date as activity_date,
        count(*) as rotation_count
    from changes
    group by all

),

suspected as (

    select
        portfolio_id,
        moved_at::date as activity_date,
        count(*) as possible_missed_rotation_count
    from missed
    group by all

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
        sum(coalesce(visibility_turned.phone_visible, 0)) over so_far::bigint
            as phone_visible_customers,
        sum(coalesce(visibility_turned.phone_hidden, 0)) over so_far::bigint
            as phone_hidden_customers,
        coalesce(shown.phone_visible_count, 0) as phone_visible_messages,
        coalesce(shown.phone_hidden_count, 0) as phone_hidden_messages,
        coalesce(rotated.rotation_count, 0) as rotations,
        coalesce(suspected.possible_missed_rotation_count, 0) as possible_missed_rotations
    from days
    left join turned using (portfolio_id, activity_date)
    left join visibility_turned using (portfolio_id, activity_date)
    left join shown using (portfolio_id, activity_date)
    left join rotated using (portfolio_id, activity_date)
    left join suspected using (portfolio_id, activity_date)
    window so_far as (
        partition by days.portfolio_id order by days.activity_date
        rows between unbounded preceding and current row
    )

)

select * from final
