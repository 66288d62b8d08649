{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__rare_item') }}
    where item_kind = 'status'

),

final as (

    select
        {{ item_columns(['item_type', 'occurred_at', 'recipient_id', 'user_id']) }},
        item_id as call_id,
        item_type as status,
        recipient_id,
        user_id as recipient_user_id,
        parent_user_id as recipient_parent_user_id
    from items

)

select * from final
