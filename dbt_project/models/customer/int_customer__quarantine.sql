{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- Islands in which something came out that must never be published: they are set aside, and the rest goes on. Each with
-- the newest event of its evidence, to look at first.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

all_nodes as (

    select * from {{ ref('int_identity__resolved_node') }}

),

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    {{- of_this_run() }}

),

history as (

    select * from {{ ref('int_customer__history') }}

),

profiles as (

    select * from {{ ref('int_customer__profile') }}
    {{- of_this_run() }}

),

phones as (

    select * from {{ ref('int_customer__phone') }}
    {{- of_this_run() }}

),

links as (

    select * from {{ ref('int_identity__link') }}

),

messages as (

    select * from {{ ref('int_message__message') }}

),

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

sightings as (

    select * from {{ ref('int_identity__sighting') }}

),

-- R3: two held one phone at one time.
overlapping_claims as (

    select
        islands.island_id,
        'two BSUIDs hold ' || one.phone || ' at one time' as problem
    from claims as one
    inner join claims as other
        on one.portfolio_id = other.portfolio_id
        and one.phone = other.phone
        and one.valid_from < other.valid_to
        and other.valid_from < one.valid_to
        and (one.bsuid, one.valid_from) < (other.bsuid, other.valid_from)
    inner join islands
        on {{ identifier_key('one.portfolio_id', 'one.phone') }} = islands.identifier_key

),

-- R10: one key for customers that nothing connects.
shared_keys as (

    select
        customer_nodes.island_id,
        'customer_key ' || customer_nodes.customer_key || ' is that of another customer too' as problem
    from customer_nodes
    inner join all_nodes using (customer_key)
    where customer_nodes.island_id <> all_nodes.island_id

),

-- R1: a link whose ends are two customers.
torn_links as (

    select
        left_node.island_id,
        'a link leads from ' || links.left_node_id || ' to another customer' as problem
    from links
    inner join customer_nodes as left_node
        on links.portfolio_id = left_node.portfolio_id and links.left_node_id = left_node.node_id
    left join customer_nodes as right_node
        on links.portfolio_id = right_node.portfolio_id and links.right_node_id = right_node.node_id
    where left_node.customer_key is distinct from right_node.customer_key

),

repeated_nodes as (

    select
        unnest(list_distinct(list(island_id))) as island_id,
        node_id || ' belongs to two customers' as problem
    from customer_nodes
    group by portfolio_id, node_id
    having count(*) > 1

),

repeated_customers as (

    select
        unnest(list_distinct(list(profiles.island_id))) as island_id,
        'customer_key ' || profiles.customer_key || ' has several rows' as problem
    from profiles
    left join phones using (portfolio_id, customer_key)
    group by profiles.customer_key
    having count(*) > 1

),

repeated_identifiers as (

    select
        unnest(list_distinct(list(island_id))) as island_id,
        identifier_value || ' is held twice from one moment' as problem
    from identifiers
    group by portfolio_id, customer_key, identifier_type, identifier_value, valid_from
    having count(*) > 1

),

repeated_history as (

    select
        unnest(list_distinct(list(island_id))) as island_id,
        'two rows of the history of ' || customer_key || ' begin at one moment' as problem
    from history
    group by customer_key, valid_from
    having count(*) > 1

),

repeated_messages as (

    select
        unnest(list_distinct(list(island_id))) as island_id,
        'message ' || message_id || ' has several rows' as problem
    from messages
    group by portfolio_id, message_id
    having count(*) > 1

),

-- History must end where the customer stands today.
torn_history as (

    select
        profiles.island_id,
        'the history of ' || profiles.customer_key || ' ends otherwise than the customer stands today' as problem
    from profiles
    inner join phones using (portfolio_id, customer_key)
    left join history
        on profiles.customer_key = history.customer_key
        and history.is_current
    where
        profiles.current_bsuid is distinct from history.bsuid
        or profiles.parent_bsuid is distinct from history.parent_bsuid
        or profiles.username is distinct from history.username
        or phones.wa_id is distinct from history.wa_id
        or case
            when not profiles.has_bsuid then 'phone_only'
            when phones.phone_count > 0 then 'linked'
            else 'bsuid_only'
        end is distinct from history.identity_stage

),

problems as (

    select * from overlapping_claims
    union all
    select * from shared_keys
    union all
    select * from torn_links
    union all
    select * from repeated_nodes
    union all
    select * from repeated_customers
    union all
    select * from repeated_identifiers
    union all
    select * from repeated_history
    union all
    select * from repeated_messages
    union all
    select * from torn_history

),

set_aside as (

    select
        island_id,
        string_agg(distinct problem, '; ' order by problem) as problem
    from problems
    group by island_id

),

final as (

    select
        set_aside.island_id,
        sightings.portfolio_id,
        set_aside.problem,
        coalesce(sightings.bsuid, sightings.phone) as identifier_value,
        if(sightings.bsuid is not null, 'bsuid', 'phone') as identifier_type,
        sightings.event_id,
        sightings.landing_file,
        sightings.line_number,
        sightings.evidence_at
    from set_aside
    inner join sightings using (island_id)
    where sightings.landing_file is not null
    qualify
        row_number() over (
            partition by set_aside.island_id
            order by sightings.received_at desc, sightings.event_id desc, sightings.observation_kind
        ) = 1

)

select * from final
