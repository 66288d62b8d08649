{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- What each customer held, and when: BSUIDs, their parents, phones and usernames.
with

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

successions as (

    select * from {{ ref('int_identity__succession') }} where decision = 'kept'

),

links as (

    select * from {{ ref('int_identity__link') }}

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

leases as (

    select * from {{ ref('int_identity__username_lease') }}
    -- what ended as it began was never worn
    where valid_to > valid_from

),

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and parent_bsuid is not null

),

-- A BSUID ends where it became another one, unless it came back since: so there is always one that lasts.
bsuid_ends as (

    select
        portfolio_id,
        unnest([left_node_id, right_node_id]) as node_id,
        unnest([last_linked_at, null]) as left_at,
        unnest([null, last_linked_at]) as entered_at
    from successions
    where
        (portfolio_id, left_node_id) in (
            select portfolio_id, node_id from customer_nodes where node_kind = 'bsuid'
        )
        and (portfolio_id, right_node_id) in (
            select portfolio_id, node_id from customer_nodes where node_kind = 'bsuid'
        )

),

succeeded as (

    select
        portfolio_id,
        node_id,
        max(left_at) as succeeded_at
    from bsuid_ends
    group by all
    having coalesce(max(left_at) > max(entered_at), max(left_at) is not null)

),

bsuids as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        customer_nodes.portfolio_id,
        'bsuid' as identifier_type,
        customer_nodes.identifier_value,
        customer_nodes.first_seen_at as valid_from,
        case
            when succeeded.succeeded_at >= customer_nodes.last_seen_at - interval 1 day
                then greatest(succeeded.succeeded_at, customer_nodes.first_seen_at)
        end as valid_to,
        customer_nodes.first_seen_at,
        customer_nodes.last_seen_at,
        1 as evidence_tier,
        'R1' as link_rule,
        customer_nodes.first_event_id as evidence_event_id,
        customer_nodes.observation_count
    from customer_nodes
    left join succeeded
        on customer_nodes.portfolio_id = succeeded.portfolio_id
        and customer_nodes.node_id = succeeded.node_id
    where customer_nodes.node_kind = 'bsuid'

),

shown_parents as (

    select
        min(customer_nodes.island_id) as island_id,
        customer_nodes.customer_key,
        customer_nodes.portfolio_id,
        observations.parent_bsuid,
        min(observations.seen_at) as first_seen_at,
        max(observations.seen_at) as last_seen_at,
        arg_min(observations.event_id, (observations.seen_at, observations.event_id)) as evidence_event_id,
        count(*) as observation_count
    from observations
    inner join customer_nodes
        on observations.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('observations.bsuid') }} = customer_nodes.node_id
    group by customer_nodes.customer_key, customer_nodes.portfolio_id, observations.parent_bsuid

),

parents as (

    select
        island_id,
        customer_key,
        portfolio_id,
        'parent_bsuid' as identifier_type,
        parent_bsuid as identifier_value,
        first_seen_at as valid_from,
        lead(first_seen_at) over (
            partition by customer_key, portfolio_id order by first_seen_at, parent_bsuid
        ) as valid_to,
        first_seen_at,
        last_seen_at,
        1 as evidence_tier,
        'R9' as link_rule,
        evidence_event_id,
        observation_count
    from shown_parents

),

claimed_phones as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        claims.portfolio_id,
        'phone' as identifier_type,
        claims.phone as identifier_value,
        claims.valid_from,
        nullif(claims.valid_to, {{ end_of_time() }}) as valid_to,
        claims.first_seen_at,
        claims.last_seen_at,
        claims.evidence_tier,
        'R3' as link_rule,
        claims.evidence_event_id,
        claims.observation_count
    from claims
    inner join customer_nodes
        on claims.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('claims.bsuid') }} = customer_nodes.node_id

),

backfills as (

    select
        portfolio_id,
        left_node_id as node_id,
        min(link_rule) as link_rule
    from links
    where link_rule in ('R5', 'R8')
    group by all

),

-- Phone-only history shows nobody but the phone itself; adopted, it is inferred.
phone_eras as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        segments.portfolio_id,
        'phone' as identifier_type,
        segments.phone as identifier_value,
        segments.opened_at as valid_from,
        nullif(segments.valid_to, {{ end_of_time() }}) as valid_to,
        segments.first_seen_at,
        segments.last_seen_at,
        if(backfills.node_id is null, 1, 4) as evidence_tier,
        coalesce(backfills.link_rule, 'R1') as link_rule,
        segments.evidence_event_id,
        segments.observation_count
    from segments
    inner join customer_nodes
        on segments.portfolio_id = customer_nodes.portfolio_id
        and segments.node_id = customer_nodes.node_id
    left join backfills
        on segments.portfolio_id = backfills.portfolio_id
        and segments.node_id = backfills.node_id

),

usernames as (

    select
        customer_nodes.island_id,
        customer_nodes.customer_key,
        leases.portfolio_id,
        'username' as identifier_type,
        leases.username as identifier_value,
        leases.valid_from,
        nullif(leases.valid_to, {{ end_of_time() }}) as valid_to,
        leases.valid_from as first_seen_at,
        leases.last_seen_at,
        leases.evidence_tier,
        'R4' as link_rule,
        leases.evidence_event_id,
        leases.observation_count
    from leases
    inner join customer_nodes
        on leases.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('leases.bsuid') }} = customer_nodes.node_id

),

final as (

    select * from bsuids
    union all
    select * from parents
    union all
    select * from claimed_phones
    union all
    select * from phone_eras
    union all
    select * from usernames

)

select * from final
