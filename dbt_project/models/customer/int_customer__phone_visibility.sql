-- Stretches in which whatever a customer wrote showed their phone, or did not.
with

inbound as (

    select
        *,
        phone is not null as is_phone_shown
    from {{ ref('int_identity__customer_sighting') }}
    where is_live_inbound

),

turns as (

    select *
    from inbound
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
