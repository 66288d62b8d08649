{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__rare_item') }}
    where item_kind = 'message' and item_type = 'system'

),

parsed as (

    select
        *,
        {{ json_read('detail', message_shape()) }} as message
    from items

),

final as (

    select
        {{ item_columns(['detail']) }},
        item_id as message_id,
        {{ blank_to_null('message.system.type') }} as system_type,
        from_id,
        coalesce(
            {{ blank_to_null('message.system.wa_id') }},
            {{ blank_to_null('message.system.new_wa_id') }}
        ) as wa_id,
        {{ blank_to_null('message.system.user_id') }} as user_id,
        {{ blank_to_null('message.system.previous_user_id') }} as previous_user_id,
        {{ blank_to_null('message.system.parent_user_id') }} as parent_user_id,
        {{ blank_to_null('message.system.previous_parent_user_id') }} as previous_parent_user_id,
        {{ blank_to_null('message.system.body') }} as body,
        {{ blank_to_null('message.system.customer') }} as customer,
        coalesce(
            {{ blank_to_null('message.identity.hash') }},
            {{ blank_to_null('message.system.identity') }}
        ) as identity_hash
    from parsed

)

select * from final
