-- Whom to ask for their number, by when, and why: after that day WhatsApp need not show it any more.
with

customers as (

    select * from {{ ref('dim_customer') }}

),

business_numbers as (

    select * from {{ ref('bridge_customer_business_number') }}

),

-- They know the number that they dealt with last.
last_numbers as (

    select
        customer_key,
        arg_max(phone_number_id, (last_seen_at, phone_number_id)) as phone_number_id
    from business_numbers
    group by customer_key

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
        reasons.customer_key,
        reasons.portfolio_id,
        reasons.current_bsuid,
        reasons.username,
        reasons.profile_name,
        reasons.phone_status,
        reasons.capture_reason,
        last_numbers.phone_number_id as ask_from_phone_number_id,
        case
            when reasons.capture_reason in ('window_closing', 'window_closed') then reasons.phone_window_closes_at
        end as ask_before,
        row_number() over (
            order by
                case reasons.capture_reason
                    when 'window_closing' then 1
                    when 'window_closed' then 2
                    when 'hidden' then 3
                    else 4
                end,
                reasons.phone_window_closes_at,
                reasons.last_inbound_at desc,
                reasons.customer_key
        )::integer as priority,
        reasons.last_inbound_at,
        reasons.inbound_message_count,
        reasons.marketing_opt_out
    from reasons
    left join last_numbers on reasons.customer_key = last_numbers.customer_key
    where reasons.capture_reason is not null

)

select * from final
