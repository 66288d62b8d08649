{{ config(materialized='view') }}

with

items as (

    {{ rare_items('calls') }}

),

named as (

    select
        * exclude (item),
        {{ blank_to_null('item.id') }} as call_id,
        {{ blank_to_null('item.event') }} as call_event,
        {{ blank_to_null('item.direction') }} as direction,
        {{ blank_to_null('item.duration') }} as duration_text,
        {{ blank_to_null('item."from"') }} as from_id,
        {{ blank_to_null('item.from_user_id') }} as from_user_id,
        {{ blank_to_null('item.from_parent_user_id') }} as from_parent_user_id,
        {{ blank_to_null('item."to"') }} as to_id,
        {{ blank_to_null('item.to_user_id') }} as to_user_id,
        {{ blank_to_null('item.to_parent_user_id') }} as to_parent_user_id,
        {{ epoch_to_timestamp('item.timestamp') }} as event_at
    from items

),

-- Where nothing says who called: whoever is not the business.
judged as (

    select
        *,
        coalesce(
            direction = 'USER_INITIATED',
            from_user_id is not null
            or coalesce(from_id <> regexp_replace(display_phone_number, '[^0-9]', '', 'g'), false)
        ) as is_user_call
    from named

),

people as (

    select
        *,
        if(is_user_call, from_user_id, to_user_id) as person_user_id,
        if(is_user_call, from_id, to_id) as person_wa_id
    from judged

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at,
        {{ contact_of('contacts', 'person_user_id', 'person_wa_id') }} as contact
    from people

),

final as (

    select
        {{ rare_item_columns('coalesce(call_id, ' ~ content_id(['coalesce(phone_number_id, waba_id)', 'event_at', 'call_event', 'direction', 'from_id', 'from_user_id', 'to_id', 'to_user_id']) ~ ')') }},
        call_id,
        call_event,
        direction,
        is_user_call,
        coalesce(try_cast(duration_text as integer) > 0, false) as is_answered,
        from_id,
        from_user_id,
        from_parent_user_id,
        to_id,
        to_user_id,
        to_parent_user_id
    from joined

)

select * from final
