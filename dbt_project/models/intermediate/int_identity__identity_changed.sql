-- The key of a phone changed: reinstalled, a new device, or a new owner.
with

system_messages as (

    select * from {{ ref('stg_whatsapp__system_message') }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

final as (

    select distinct
        {{ portfolio_id_of('accounts', 'system_messages') }} as portfolio_id,
        {{ phone_of(['system_messages.from_id', 'system_messages.customer', 'system_messages.wa_id']) }} as phone,
        system_messages.evidence_at
    from system_messages
    left join accounts on {{ owned_at('accounts', 'system_messages') }}
    where system_messages.system_type = 'customer_identity_changed'

)

select * from final
