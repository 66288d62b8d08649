{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ forget_touched_islands() }}",
    post_hook="{{ judge_open_threads() }}",
) }}

-- What customers wrote and how soon somebody answered, thread by thread.
with

messages as (

    select * from {{ ref('fct_message') }}
    where
        customer_key is not null
        and phone_number_id is not null
        and not is_group
        -- a reaction asks nothing and answers nothing; what failed never reached them
        and message_type is distinct from 'reaction'
        and (failed_at is null or delivered_at is not null)
        {{- of_this_run('and') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

-- A message after an answer opens a thread, and so does one after the window to answer has closed.
marked as (

    select
        *,
        direction = 'inbound'
        and (
            lag(direction) over conversation is distinct from 'inbound'
            or occurred_at
            > lag(occurred_at) over conversation + interval ({{ var('service_window_hours') }}) hour
        ) as is_opening
    from messages
    window conversation as (
        partition by portfolio_id, customer_key, phone_number_id
        order by occurred_at, direction, message_id
    )

),

numbered as (

    select
        *,
        count(*) filter (where is_opening) over (
            partition by portfolio_id, customer_key, phone_number_id
            order by occurred_at, direction, message_id
        ) as thread_number
    from marked

),

threads as (

    select
        min(island_id) as island_id,
        portfolio_id,
        customer_key,
        phone_number_id,
        thread_number,
        arg_min(message_id, (occurred_at, message_id)) filter (where direction = 'inbound')
            as thread_id,
        min(occurred_at) filter (where direction = 'inbound') as opened_at,
        max(occurred_at) filter (where direction = 'inbound') as last_inbound_at,
        count(*) filter (where direction = 'inbound') as inbound_message_count,
        min(occurred_at) filter (where direction = 'outbound') as first_outbound_at
    from numbered
    where thread_number > 0
    group by portfolio_id, customer_key, phone_number_id, thread_number

),

judged as (

    select
        *,
        last_inbound_at + interval ({{ var('service_window_hours') }}) hour as window_closes_at,
        min(opened_at) over (partition by portfolio_id, customer_key) as first_opened_at
    from threads

),

final as (

    select
        judged.island_id,
        judged.thread_id,
        judged.portfolio_id,
        judged.customer_key,
        judged.phone_number_id,
        judged.opened_at,
        judged.last_inbound_at,
        judged.inbound_message_count,
        case when judged.first_outbound_at <= judged.window_closes_at then judged.first_outbound_at end
            as answered_at,
        case
            when judged.first_outbound_at <= judged.window_closes_at then true
            when judged.window_closes_at < as_of.as_of then false
        end as is_answered,
        case
            when judged.first_outbound_at <= judged.window_closes_at
                then date_diff('second', judged.opened_at, judged.first_outbound_at)
        end as response_seconds,
        judged.opened_at::date > judged.first_opened_at::date as is_repeat
    from judged
    cross join as_of

)

select * from final
