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
        {{ blank_to_null('item."from"') }} as from_id,
        {{ blank_to_null('item.from_user_id') }} as from_user_id,
        {{ blank_to_null('item.from_parent_user_id') }} as from_parent_user_id,
        {{ blank_to_null('item."to"') }} as to_id,
        {{ blank_to_null('item.to_user_id') }} as to_user_id,
        {{ blank_to_null('item.to_parent_user_id') }} as to_parent_user_id,
        {{ epoch_to_timestamp('item.timestamp') }} as event_at
    from items

),

people as (

    select
        *,
        coalesce(from_user_id, to_user_id) as person_user_id,
        case when direction = 'BUSINESS_INITIATED' then to_id else from_id end as person_wa_id
    from named

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at,
        {{ contact_of('contacts', 'person_user_id', 'person_wa_id') }} as contact
    from people

),

shown as (

    select
        {{ rare_item_columns('coalesce(call_id, ' ~ content_id(['waba_id', 'event_at', 'call_event', 'direction', 'from_id', 'from_user_id', 'to_id', 'to_user_id']) ~ ')') }},
        call_id,
        call_event,
        direction,
        from_id,
        from_user_id,
        from_parent_user_id,
        to_id,
        to_user_id,
        to_parent_user_id
    from joined

),

final as (

    {{ first_of('shown', ['waba_id', 'event_id', 'call_event'], ['phone_number_id', 'occurred_at', 'contact_wa_id', 'contact_user_id', 'contact_parent_user_id', 'contact_username', 'contact_profile_name', 'call_id', 'call_event', 'direction', 'from_id', 'from_user_id', 'from_parent_user_id', 'to_id', 'to_user_id', 'to_parent_user_id']) }}

)

select * from final
