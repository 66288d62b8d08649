-- One person as one business knows them, whichever identifiers they went by.
with

profiles as (

    select * from {{ ref('int_customer__profile') }}
    {{- unless_quarantined() }}

),

customer_phones as (

    select * from {{ ref('int_customer__phone') }}

),

phone_statuses as (

    select * from {{ ref('int_customer__phone_status') }}

),

phones as (

    select * from {{ ref('int_phone__number') }} where default_country is null

),

enterprises as (

    select * from {{ ref('int_customer__enterprise') }}

),

reviews as (

    select * from {{ ref('identity_review') }}

),

messages as (

    select * from {{ ref('fct_message') }} where customer_key is not null

),

consents as (

    select * from {{ ref('int_customer__phone_consent') }}

),

open_questions as (

    select left_customer_key as customer_key from reviews
    union
    select right_customer_key as customer_key from reviews

),

activity as (

    select
        customer_key,
        min(occurred_at) filter (where direction = 'inbound') as first_inbound_at,
        max(occurred_at) filter (where direction = 'inbound') as last_inbound_at,
        count(*) filter (where direction = 'inbound') as inbound_message_count,
        count(*) filter (where direction = 'outbound') as outbound_message_count
    from messages
    group by customer_key

),

final as (

    select
        profiles.customer_key,
        profiles.portfolio_id,
        coalesce(enterprises.enterprise_customer_key, profiles.customer_key)
            as enterprise_customer_key,
        profiles.current_bsuid,
        profiles.parent_bsuid,
        profiles.username,
        phones.phone_e164,
        customer_phones.wa_id,
        phone_statuses.phone_status,
        customer_phones.phone_source,
        customer_phones.phone_last_seen_at,
        customer_phones.phone_window_closes_at,
        coalesce(left(profiles.current_bsuid, 2), phones.country_code) as country_code,
        profiles.profile_name,
        case
            when not profiles.has_bsuid then 'phone_only'
            when customer_phones.phone_count > 0 then 'linked'
            else 'bsuid_only'
        end as identity_stage,
        profiles.bsuid_count::integer as bsuid_count,
        customer_phones.phone_count::integer as phone_count,
        profiles.username_count::integer as username_count,
        profiles.weakest_link_tier,
        profiles.holder_changed,
        open_questions.customer_key is not null as needs_review,
        coalesce(
            customer_phones.phone_source = 'attested' or consents.customer_key is not null, false
        ) as is_contactable_outside_whatsapp,
        profiles.marketing_opt_out,
        profiles.marketing_opt_out_at,
        profiles.first_seen_at,
        profiles.last_seen_at,
        activity.first_inbound_at,
        activity.last_inbound_at,
        coalesce(activity.inbound_message_count, 0) as inbound_message_count,
        coalesce(activity.outbound_message_count, 0) as outbound_message_count,
        profiles.last_identity_change_at
    from profiles
    inner join customer_phones
        on profiles.portfolio_id = customer_phones.portfolio_id
        and profiles.customer_key = customer_phones.customer_key
    inner join phone_statuses
        on profiles.portfolio_id = phone_statuses.portfolio_id
        and profiles.customer_key = phone_statuses.customer_key
    left join phones on customer_phones.wa_id = phones.phone
    left join enterprises on profiles.customer_key = enterprises.customer_key
    left join open_questions on profiles.customer_key = open_questions.customer_key
    left join activity on profiles.customer_key = activity.customer_key
    left join consents
        on profiles.portfolio_id = consents.portfolio_id
        and profiles.customer_key = consents.customer_key

)

select * from final
