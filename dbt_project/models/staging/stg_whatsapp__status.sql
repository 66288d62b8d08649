{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__item') }}
    where item_kind = 'status' and source_field is distinct from 'calls' and status_type is distinct from 'call'

),

final as (

    select
        {{ item_columns(['item_type', 'occurred_at', 'recipient_id', 'user_id']) }},
        item_id as message_id,
        item_type as status,
        recipient_id,
        recipient_type,
        user_id as recipient_user_id,
        parent_user_id as recipient_parent_user_id,
        participant_id as recipient_participant_id,
        participant_user_id as recipient_participant_user_id,
        participant_parent_user_id as recipient_participant_parent_user_id,
        error_code,
        pricing_category,
        callback_data,
        coalesce(recipient_type = 'group', false) as is_group
    from items

)

select * from final
