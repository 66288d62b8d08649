-- Stretches in which whatever a customer wrote showed their phone, or did not.
with

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where
        bsuid is not null
        and direction = 'inbound'
        and observation_kind in ('message', 'call', 'preference')

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where node_id is not null and direction = 'inbound' and observation_kind <> 'history'

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

inbound as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        phone is not null as is_phone_shown,
        evidence_at,
        received_at,
        event_id
    from observations
    union all
    select
        portfolio_id,
        node_id,
        true as is_phone_shown,
        evidence_at,
        received_at,
        event_id
    from assignments

),

of_customers as (

    select
        inbound.*,
        customer_nodes.island_id,
        customer_nodes.customer_key
    from inbound
    inner join customer_nodes
        on inbound.portfolio_id = customer_nodes.portfolio_id
        and inbound.node_id = customer_nodes.node_id

),

turns as (

    select *
    from of_customers
    qualify is_phone_shown is distinct from lag(is_phone_shown) over (
        partition by portfolio_id, customer_key
        order by evidence_at, received_at, event_id, is_phone_shown
    )

),

final as (

    select
        island_id,
        customer_key,
        portfolio_id,
        is_phone_shown,
        evidence_at as valid_from,
        lead(evidence_at) over (
            partition by portfolio_id, customer_key
            order by evidence_at, received_at, event_id, is_phone_shown
        ) as valid_to
    from turns

)

select * from final
