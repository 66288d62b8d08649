-- Whom to ask for their number, by when, and why: after that day WhatsApp need not show it any more.
with

customers as (

    select * from {{ ref('dim_customer') }}

),

reasons as (

    select
        *,
        case
            when phone_status in ('window_closing', 'window_closed') then phone_status
            when phone_status = 'hidden' then 'hidden'
            when phone_status in ('never_seen', 'released') then 'phone_not_known'
        end as capture_reason
    from customers
    where identity_stage <> 'phone_only' and last_inbound_at is not null

),

final as (

    select
        customer_key,
        portfolio_id,
        current_bsuid,
        username,
        profile_name,
        phone_status,
        capture_reason,
        case when capture_reason in ('window_closing', 'window_closed') then phone_window_closes_at end as ask_before,
        row_number() over (
            partition by portfolio_id
            order by
                case capture_reason
                    when 'window_closing' then 1
                    when 'window_closed' then 2
                    when 'hidden' then 3
                    else 4
                end,
                phone_window_closes_at,
                last_inbound_at desc,
                customer_key
        )::integer as priority,
        last_inbound_at,
        inbound_message_count,
        marketing_opt_out
    from reasons
    where capture_reason is not null

)

select * from final
