{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- The phone a customer holds now, who says so, and until when WhatsApp must show it.
with

profiles as (

    select * from {{ ref('int_customer__profile') }}
    {{- of_this_run() }}

),

phones as (

    select * from {{ ref('int_customer__identifier') }}
    where identifier_type = 'phone'
    {{- of_this_run('and') }}

),

attested as (

    select * from {{ ref('int_identity__attested_phone') }} where not is_void

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

business_numbers as (

    select * from {{ ref('int_customer__business_number') }}
    where phone_last_seen_at is not null
    {{- of_this_run('and') }}

),

held as (

    select
        portfolio_id,
        customer_key,
        count(distinct identifier_value) as phone_count,
        arg_max(
            {'wa_id': identifier_value, 'link_rule': link_rule},
            (valid_from, identifier_value)
        ) filter (where valid_to is null) as current_phone,
        max(last_seen_at) as phone_last_seen_at
    from phones
    group by portfolio_id, customer_key

),

-- Whoever attested a number that also came paired has attested it all the same.
attested_phones as (

    select distinct
        attested.portfolio_id,
        customer_nodes.customer_key,
        attested.phone
    from attested
    inner join customer_nodes
        on attested.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('attested.bsuid') }} = customer_nodes.node_id

),

-- A business number that last showed a former phone keeps no window open for the present one.
windows as (

    select
        portfolio_id,
        customer_key,
        last_phone,
        max(phone_last_seen_at) + interval ({{ var('phone_window_days') }}) day
            as phone_window_closes_at
    from business_numbers
    group by portfolio_id, customer_key, last_phone

),

final as (

    select
        profiles.island_id,
        profiles.portfolio_id,
        profiles.customer_key,
        held.current_phone.wa_id as wa_id,
        case
            when held.current_phone is null then null
            when attested_phones.phone is not null then 'attested'
            when held.current_phone.link_rule <> 'R3' then 'phone_only'
            else 'paired'
        end as phone_source,
        coalesce(held.phone_count, 0) as phone_count,
        held.phone_last_seen_at,
        windows.phone_window_closes_at
    from profiles
    left join held
        on profiles.portfolio_id = held.portfolio_id
        and profiles.customer_key = held.customer_key
    left join windows
        on profiles.portfolio_id = windows.portfolio_id
        and profiles.customer_key = windows.customer_key
        and held.current_phone.wa_id = windows.last_phone
    left join attested_phones
        on profiles.portfolio_id = attested_phones.portfolio_id
        and profiles.customer_key = attested_phones.customer_key
        and held.current_phone.wa_id = attested_phones.phone

)

select * from final
