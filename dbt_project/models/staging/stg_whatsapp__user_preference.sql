{{ config(materialized='view') }}

with

items as (

    {{ rare_items('user_preferences') }}

),

named as (

    select
        * exclude (item),
        {{ blank_to_null('item.wa_id') }} as wa_id,
        {{ blank_to_null('item.user_id') }} as user_id,
        {{ blank_to_null('item.parent_user_id') }} as parent_user_id,
        {{ blank_to_null('item.category') }} as category,
        {{ blank_to_null('item.value') }} as preference,
        {{ blank_to_null('item.detail') }} as detail,
        {{ epoch_to_timestamp('item.timestamp') }} as event_at
    from items

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at,
        {{ contact_of('contacts', 'user_id', 'wa_id') }} as contact
    from named

),

final as (

    select
        {{ rare_item_columns(content_id(['coalesce(phone_number_id, waba_id)', 'event_at', 'wa_id', 'user_id', 'parent_user_id', 'category', 'preference', 'detail'])) }},
        wa_id,
        user_id,
        parent_user_id,
        category,
        preference,
        detail
    from joined

)

select * from final
