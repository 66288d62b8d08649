-- Delivery of a group send to each participant.
with

statuses as (

    select * from {{ ref('stg_whatsapp__status') }} where is_group and message_id is not null

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }} where message_id is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

participants as (

    select
        {{ portfolio_id_of('accounts', 'statuses') }} as portfolio_id,
        statuses.message_id,
        {{ bsuid_of(['statuses.recipient_participant_user_id', 'statuses.recipient_participant_id', 'statuses.contact_user_id']) }}
            as bsuid,
        {{ phone_of(['statuses.recipient_participant_id', 'statuses.contact_wa_id']) }} as phone,
        statuses.status,
        statuses.occurred_at,
        statuses.error_code
    from statuses
    left join accounts on {{ owned_at('accounts', 'statuses') }}

),

phone_nodes as (

    select
        portfolio_id,
        message_id,
        shown_phone,
        min(node_id) as node_id
    from assignments
    where message_id in (select message_id from statuses)
    group by all

),

identified as (

    select
        participants.portfolio_id,
        participants.message_id,
        coalesce(participants.bsuid, participants.phone, 'unknown') as participant_id,
        coalesce({{ bsuid_node('participants.bsuid') }}, phone_nodes.node_id) as node_id,
        participants.status,
        participants.occurred_at,
        participants.error_code
    from participants
    left join phone_nodes
        on participants.portfolio_id = phone_nodes.portfolio_id
        and participants.message_id = phone_nodes.message_id
        and participants.phone = phone_nodes.shown_phone

),

final as (

    select
        identified.message_id,
        identified.portfolio_id,
        identified.participant_id,
        min(customer_nodes.customer_key) as customer_key,
        min(identified.occurred_at) filter (where identified.status = 'sent') as sent_at,
        min(identified.occurred_at) filter (where identified.status = 'delivered') as delivered_at,
        min(identified.occurred_at) filter (where identified.status = 'read') as read_at,
        min(identified.occurred_at) filter (where identified.status = 'played') as played_at,
        min(identified.occurred_at) filter (where identified.status = 'failed') as failed_at,
        min(identified.error_code) as error_code
    from identified
    left join customer_nodes
        on identified.portfolio_id = customer_nodes.portfolio_id
        and identified.node_id = customer_nodes.node_id
    group by identified.message_id, identified.portfolio_id, identified.participant_id

)

select * from final
