-- Whose a message is: the BSUID's it shows, else whoever's that was on its phone at that time.
with

sightings as not materialized (

    select * from {{ ref('int_identity__sighting') }}
    where message_id is not null

),

parent_sightings as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and parent_bsuid is not null

),

assignments as not materialized (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

-- Ranked, not aggregated with arg_min: sorting spills to disk where memory is short.
by_bsuid as (

    select
        portfolio_id,
        message_id,
        bsuid,
        case when is_failed and phone is null then parent_bsuid end as parent_bsuid,
        bool_or(is_ignored) over (partition by portfolio_id, message_id) as is_ignored
    from sightings
    qualify
        row_number() over (
            partition by portfolio_id, message_id
            order by bsuid is null, evidence_at, received_at, bsuid
        ) = 1

),

by_phone as (

    select
        portfolio_id,
        message_id,
        node_id,
        unassigned_reason
    from assignments
    qualify
        row_number() over (
            partition by portfolio_id, message_id
            order by node_id is null, evidence_at, received_at, phone
        ) = 1

),

-- R9: a failed send that names a parent BSUID alone follows the one customer that showed it.
parents as (

    select
        parent_sightings.portfolio_id,
        parent_sightings.parent_bsuid,
        min(customer_nodes.node_id) as node_id
    from parent_sightings
    inner join customer_nodes
        on parent_sightings.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('parent_sightings.bsuid') }} = customer_nodes.node_id
    group by parent_sightings.portfolio_id, parent_sightings.parent_bsuid
    having count(distinct customer_nodes.customer_key) = 1

),

found as (

    select
        by_bsuid.portfolio_id,
        by_bsuid.message_id,
        by_bsuid.is_ignored,
        by_phone.unassigned_reason,
        coalesce(
            {{ bsuid_node('by_bsuid.bsuid') }},
            by_phone.node_id,
            if(by_phone.message_id is null, parents.node_id, null)
        ) as node_id
    from by_bsuid
    left join by_phone using (portfolio_id, message_id)
    left join parents
        on by_bsuid.portfolio_id = parents.portfolio_id
        and by_bsuid.parent_bsuid = parents.parent_bsuid

),

final as (

    select
        found.portfolio_id,
        found.message_id,
        customer_nodes.customer_key,
        case
            when customer_nodes.customer_key is not null then null
            when found.is_ignored then 'ignored'
            else coalesce(found.unassigned_reason, 'no_identifier')
        end as unassigned_reason
    from found
    left join customer_nodes
        on found.portfolio_id = customer_nodes.portfolio_id
        and found.node_id = customer_nodes.node_id

)

select * from final
