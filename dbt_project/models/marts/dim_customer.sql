-- One person as one business knows them, whichever identifiers they went by.
with

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

profiles as (

    select * from {{ ref('int_customer__profile') }}

),

customer_phones as (

    select * from {{ ref('int_customer__phone') }}

),

phones as (

    select * from {{ ref('int_phone__number') }} where default_country is null

),

enterprises as (

    select * from {{ ref('int_identity__enterprise') }}

),

links as (

    select * from {{ ref('identity_link') }}

),

holder_changes as (

    select * from {{ ref('int_identity__holder_change') }}

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

stages as (

    select
        portfolio_id,
        customer_key,
        bool_or(node_kind = 'bsuid') as has_bsuid
    from customer_nodes
    group by all

),

weakest_links as (

    select
        customer_key,
        max(evidence_tier) as weakest_link_tier
    from links
    group by customer_key

),

lost_numbers as (

    select distinct lost_by_customer_key as customer_key
    from holder_changes

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
        stages.customer_key,
        stages.portfolio_id,
        coalesce(enterprises.enterprise_customer_key, stages.customer_key)
            as enterprise_customer_key,
        profiles.current_bsuid,
        profiles.parent_bsuid,
        profiles.username,
        phones.phone_e164,
        customer_phones.wa_id,
        customer_phones.phone_status,
        customer_phones.phone_source,
        customer_phones.phone_last_seen_at,
        customer_phones.phone_window_closes_at,
        coalesce(left(profiles.current_bsuid, 2), phones.country_code) as country_code,
        profiles.profile_name,
        case
            when not stages.has_bsuid then 'phone_only'
            when customer_phones.phone_count > 0 then 'linked'
            else 'bsuid_only'
        end as identity_stage,
        profiles.bsuid_count::integer as bsuid_count,
        customer_phones.phone_count::integer as phone_count,
        profiles.username_count::integer as username_count,
        weakest_links.weakest_link_tier,
        lost_numbers.customer_key is not null as holder_changed,
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
    from stages
    inner join profiles
        on stages.portfolio_id = profiles.portfolio_id
        and stages.customer_key = profiles.customer_key
    inner join customer_phones
        on stages.portfolio_id = customer_phones.portfolio_id
        and stages.customer_key = customer_phones.customer_key
    left join phones on customer_phones.wa_id = phones.phone
    left join enterprises on stages.customer_key = enterprises.customer_key
    left join weakest_links on stages.customer_key = weakest_links.customer_key
    left join lost_numbers on stages.customer_key = lost_numbers.customer_key
    left join open_questions on stages.customer_key = open_questions.customer_key
    left join activity on stages.customer_key = activity.customer_key
    left join consents
        on stages.portfolio_id = consents.portfolio_id
        and stages.customer_key = consents.customer_key

)

select * from final
