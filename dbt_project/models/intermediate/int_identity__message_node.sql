{{ config(materialized='incremental', pre_hook="{{ forget('message_id in ' ~ ids_of('int_identity__touched_message')) }}") }}

-- Whose a message is: the BSUID it shows, else whoever was on its phone at that time; R9: a failed send that names a
-- parent BSUID alone is whose parent that is.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where message_id is not null
    {{- only('message_id in ' ~ ids_of('int_identity__touched_message'), 'and') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null
    {{- only('message_id in ' ~ ids_of('int_identity__touched_message'), 'and') }}

),

parents as (

    select * from {{ ref('int_identity__observation') }}
    where bsuid is not null and parent_bsuid is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

-- Of whose customer there is exactly one.
by_parent as (

    select
        parents.portfolio_id,
        parents.parent_bsuid,
        min(customer_nodes.node_id) as node_id
    from parents
    inner join customer_nodes
        on parents.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('parents.bsuid') }} = customer_nodes.node_id
    group by all
    having count(distinct customer_nodes.customer_key) = 1

),

-- Ranked, not aggregated with arg_min: sorting spills to disk where memory is short.
by_bsuid as (

    select
        portfolio_id,
        message_id,
        bsuid,
        case when is_failed and phone is null then parent_bsuid end as parent_bsuid,
        bool_or(is_ignored) over (partition by portfolio_id, message_id) as is_ignored
    from observations
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

final as (

    select
        by_bsuid.portfolio_id,
        by_bsuid.message_id,
        coalesce({{ bsuid_node('by_bsuid.bsuid') }}, by_phone.node_id, by_parent.node_id) as node_id,
        case
            when by_bsuid.bsuid is not null then null
            when coalesce(by_phone.node_id, by_parent.node_id) is not null then null
            when by_bsuid.is_ignored then 'ignored'
            else coalesce(by_phone.unassigned_reason, 'no_identifier')
        end as unassigned_reason
    from by_bsuid
    left join by_phone using (portfolio_id, message_id)
    left join by_parent using (portfolio_id, parent_bsuid)

)

select * from final
