{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__rare_item') }}
    where item_kind = 'echo'

),

final as (

    select
        {{ item_columns(['item_type', 'occurred_at', 'recipient_id', 'user_id']) }},
        item_id as message_id,
        item_type as message_type,
        from_id,
        recipient_id as to_id,
        user_id as to_user_id,
        parent_user_id as to_parent_user_id,
        reply_to_message_id,
        original_message_id
    from items

)

select * from final
