{{ config(materialized='view') }}

with

items as (

    {{ rare_items('history') }}

),

threads as (

    select
        * exclude (item, item_path),
        unnest(item.threads) as thread,
        item_path || '.threads[' || (generate_subscripts(item.threads, 1) - 1) || ']' as thread_path
    from items

),

messages as (

    select
        * exclude (thread),
        thread.id as thread_key,
        thread.context as context,
        unnest(thread.messages) as item,
        thread_path || '.messages[' || (generate_subscripts(thread.messages, 1) - 1) || ']'
            as item_path
    from threads

),

named as (

    select
        * exclude (item),
        {{ blank_to_null('item.id') }} as message_id,
        {{ blank_to_null('item.type') }} as message_type,
        {{ blank_to_null('thread_key') }} as thread_id,
        {{ blank_to_null('context.wa_id') }} as thread_wa_id,
        {{ blank_to_null('context.user_id') }} as thread_user_id,
        {{ blank_to_null('context.parent_user_id') }} as thread_parent_user_id,
        {{ blank_to_null('context.username') }} as thread_username,
        {{ blank_to_null('item."from"') }} as from_id,
        {{ blank_to_null('item.from_user_id') }} as from_user_id,
        {{ blank_to_null('item.from_parent_user_id') }} as from_parent_user_id,
        {{ blank_to_null('item."to"') }} as to_id,
        {{ blank_to_null('item.history_context.status') }} as history_status,
        {{ epoch_to_timestamp('item.timestamp') }} as event_at
    from messages

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at
    from named

),

final as (

    select
        {{ rare_item_columns('coalesce(message_id, ' ~ content_id(['coalesce(phone_number_id, waba_id)', 'event_at', 'message_type', 'thread_id', 'thread_wa_id', 'thread_user_id', 'from_id', 'from_user_id', 'to_id']) ~ ')', has_contacts=false) }},
        message_id,
        message_type,
        thread_id,
        thread_wa_id,
        thread_user_id,
        thread_parent_user_id,
        thread_username,
        from_id,
        from_user_id,
        from_parent_user_id,
        to_id,
        history_status,
        coalesce(
            from_id = regexp_replace(display_phone_number, '[^0-9]', '', 'g'), false
        )
        or (from_id is null and from_user_id is null) as is_from_business
    from joined

)

select * from final
