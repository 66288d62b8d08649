-- What a customer went by, over event time (SCD2).
with

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    {{- of_this_run() }}

),

turning_points as (

    select island_id, customer_key, portfolio_id, valid_from as point_at from identifiers
    union
    select island_id, customer_key, portfolio_id, valid_to as point_at from identifiers
    where valid_to is not null

),

states as (

    select
        turning_points.island_id,
        turning_points.customer_key,
        turning_points.portfolio_id,
        turning_points.point_at,
        arg_max(
            identifiers.identifier_value,
            (identifiers.last_seen_at, identifiers.valid_from, identifiers.identifier_value)
        ) filter (where identifiers.identifier_type = 'bsuid') as bsuid,
        arg_max(identifiers.identifier_value, (identifiers.valid_from, identifiers.identifier_value))
            filter (where identifiers.identifier_type = 'parent_bsuid') as parent_bsuid,
        arg_max(identifiers.identifier_value, (identifiers.valid_from, identifiers.identifier_value))
            filter (where identifiers.identifier_type = 'phone') as wa_id,
        arg_max(identifiers.identifier_value, (identifiers.valid_from, identifiers.identifier_value))
            filter (where identifiers.identifier_type = 'username') as username
    from turning_points
    left join identifiers
        on turning_points.customer_key = identifiers.customer_key
        and turning_points.portfolio_id = identifiers.portfolio_id
        and turning_points.point_at >= identifiers.valid_from
        and turning_points.point_at < coalesce(identifiers.valid_to, {{ end_of_time() }})
    group by all

),

changed as (

    select
        *,
        bool_or(bsuid is not null) over of_customer as has_had_bsuid,
        bool_or(wa_id is not null) over of_customer as has_had_phone
    from states
    window of_customer as (partition by customer_key, portfolio_id order by point_at)
    qualify
        row_number() over of_customer = 1
        or bsuid is distinct from lag(bsuid) over of_customer
        or parent_bsuid is distinct from lag(parent_bsuid) over of_customer
        or wa_id is distinct from lag(wa_id) over of_customer
        or username is distinct from lag(username) over of_customer

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
        case
            when not has_had_bsuid then 'phone_only'
            when has_had_phone then 'linked'
            else 'bsuid_only'
        end as identity_stage,
        point_at as valid_from,
        lead(point_at) over (partition by customer_key, portfolio_id order by point_at) as valid_to,
        lead(point_at) over (partition by customer_key, portfolio_id order by point_at) is null
            as is_current
    from changed

)

select * from final
