{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__rare_item') }}
    where item_kind = 'message' and item_type = 'contacts'

),

parsed as (

    select
        *,
        {{ json_read('detail', message_shape()) }} as message
    from items

),

contacts as (

    select
        * exclude (message),
        {{ blank_to_null('message.origin') }} as message_origin,
        unnest(message.contacts) as shared_contact,
        generate_subscripts(message.contacts, 1) - 1 as contact_index
    from parsed

),

phones as (

    select
        * exclude (shared_contact),
        {{ blank_to_null('shared_contact.origin') }} as contact_origin,
        {{ blank_to_null('shared_contact.name.formatted_name') }} as shared_name,
        unnest(shared_contact.phones) as shared_phone,
        generate_subscripts(shared_contact.phones, 1) - 1 as phone_index
    from contacts

),

final as (

    select
        {{ item_columns(['occurred_at', 'from_id', 'user_id', 'detail']) }},
        item_id as message_id,
        contact_index,
        phone_index,
        coalesce(contact_origin, message_origin, 'other') as origin,
        {{ blank_to_null('shared_phone.phone') }} as phone,
        {{ blank_to_null('shared_phone.wa_id') }} as phone_wa_id,
        shared_name,
        from_id,
        user_id as from_user_id,
        parent_user_id as from_parent_user_id
    from phones

)

select * from final
