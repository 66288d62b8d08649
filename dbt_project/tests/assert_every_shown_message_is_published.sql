-- Invariant 2: no message with an id that staging read is missing from the facts, nor is there one too many.
with

messages as (

    select * from {{ ref('stg_whatsapp__message') }}
    where message_id is not null and coalesce(message_type, '') not in ('edit', 'revoke')

),

echoes as (

    select * from {{ ref('stg_whatsapp__message_echo') }}
    where message_id is not null and coalesce(message_type, '') not in ('edit', 'revoke')

),

history_messages as (

    select * from {{ ref('stg_whatsapp__history_message') }} where message_id is not null

),

statuses as (

    select * from {{ ref('stg_whatsapp__status') }} where message_id is not null

),

facts as (

    select * from {{ ref('fct_message') }}

),

staged as (

    select waba_id, message_id from messages
    union
    select waba_id, message_id from echoes
    union
    select waba_id, message_id from history_messages
    union
    select waba_id, message_id from statuses

),

final as (

    select
        coalesce(staged.message_id, facts.message_id) as message_id,
        staged.message_id is null as is_invented
    from staged
    full outer join facts
        on staged.waba_id = facts.waba_id and staged.message_id = facts.message_id
    where staged.message_id is null or facts.message_id is null

)

select * from final
