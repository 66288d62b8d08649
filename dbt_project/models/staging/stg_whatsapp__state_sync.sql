{{ config(materialized='view') }}

with

items as (

    {{ rare_items('state_sync') }}

),

named as (

    select
        * exclude (item),
        {{ blank_to_null('item.action') }} as action,
        {{ phone_digits(blank_to_null('item.contact.phone_number')) }} as wa_id,
        {{ blank_to_null('item.contact.user_id') }} as user_id,
        {{ blank_to_null('item.contact.parent_user_id') }} as parent_user_id,
        {{ blank_to_null('item.contact.username') }} as username,
        {{ blank_to_null('item.contact.full_name') }} as full_name,
        {{ epoch_to_timestamp('item.metadata.timestamp') }} as event_at
    from items

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at
    from named

),

final as (

    select
        {{ rare_item_columns(content_id(['coalesce(phone_number_id, waba_id)', 'event_at', 'action', 'wa_id', 'user_id', 'parent_user_id', 'username', 'full_name']), has_contacts=false) }},
        action,
        wa_id,
        user_id,
        parent_user_id,
        username,
        full_name
    from joined

)

select * from final
