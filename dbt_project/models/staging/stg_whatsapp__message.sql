{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__item') }}
    where item_kind = 'message' and item_type is distinct from 'system'

),

final as (

    select
        {{ item_columns(['item_type', 'occurred_at', 'from_id', 'user_id']) }},
        item_id as message_id,
        item_type as message_type,
        from_id,
        user_id as from_user_id,
        parent_user_id as from_parent_user_id,
        group_id,
        reply_to_message_id,
        original_message_id,
        identity_key_hash,
        ctwa_clid
    from items

)

select * from final
