{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- What a customer last showed of themselves, over all of their nodes.
with

sightings as (

    select * from {{ ref('int_identity__customer_sighting') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    {{- of_this_run() }}

),

links as (

    select * from {{ ref('int_identity__link') }}

),

holder_changes as (

    select * from {{ ref('int_identity__holder_change') }}

),

shown as (

    select
        min(island_id) as island_id,
        portfolio_id,
        customer_key,
        bool_or(node_kind = 'bsuid') as has_bsuid,
        arg_max(profile_name, (seen_at, received_at, event_id, profile_name))
            filter (where profile_name is not null) as profile_name,
        coalesce(
            arg_max(phone is not null, (evidence_at, received_at, event_id, phone is not null))
                filter (where is_live_inbound),
            true
        ) as is_newest_inbound_with_phone,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from sightings
    group by portfolio_id, customer_key

),

held as (

    select
        portfolio_id,
        customer_key,
        count(distinct identifier_value) filter (where identifier_type = 'bsuid') as bsuid_count,
        count(distinct identifier_value) filter (where identifier_type = 'username')
            as username_count,
        arg_max(identifier_value, (last_seen_at, valid_from, identifier_value))
            filter (where identifier_type = 'bsuid' and valid_to is null) as current_bsuid,
        arg_max(identifier_value, (valid_from, identifier_value))
            filter (where identifier_type = 'parent_bsuid' and valid_to is null) as parent_bsuid,
        arg_max(identifier_value, (valid_from, identifier_value))
            filter (where identifier_type = 'username' and valid_to is null) as username,
        max(greatest(valid_from, coalesce(valid_to, valid_from))) as last_identity_change_at
    from identifiers
    group by all

),

-- Consent follows succession, because nodes do, and never a phone to its next holder.
choices as (

    select
        portfolio_id,
        customer_key,
        arg_max(item_type, (occurred_at, event_id)) as preference,
        max(occurred_at) as chosen_at
    from sightings
    where observation_kind = 'preference' and item_type is not null
    group by portfolio_id, customer_key

),

weakest_links as (

    select
        customer_nodes.customer_key,
        max(links.evidence_tier) as weakest_link_tier
    from links
    inner join customer_nodes
        on links.portfolio_id = customer_nodes.portfolio_id
        and links.left_node_id = customer_nodes.node_id
    group by customer_nodes.customer_key

),

lost_numbers as (

    select distinct lost_by_customer_key as customer_key
    from holder_changes

),

final as (

    select
        shown.*,
        coalesce(held.bsuid_count, 0) as bsuid_count,
        coalesce(held.username_count, 0) as username_count,
        held.current_bsuid,
        held.parent_bsuid,
        held.username,
        held.last_identity_change_at,
        coalesce(choices.preference = 'stop', false) as marketing_opt_out,
        case when choices.preference = 'stop' then choices.chosen_at end as marketing_opt_out_at,
        weakest_links.weakest_link_tier,
        lost_numbers.customer_key is not null as holder_changed
    from shown
    left join weakest_links on shown.customer_key = weakest_links.customer_key
    left join lost_numbers on shown.customer_key = lost_numbers.customer_key
    left join held
        on shown.portfolio_id = held.portfolio_id and shown.customer_key = held.customer_key
    left join choices
        on shown.portfolio_id = choices.portfolio_id and shown.customer_key = choices.customer_key

)

select * from final
