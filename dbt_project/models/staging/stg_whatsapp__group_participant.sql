{{ config(materialized='view') }}

with

items as (

    {{ rare_items('groups') }}

),

people as (

    select
        * exclude (item, item_path),
        item.type as participant_event_text,
        item.group_id as group_id_text,
        item.timestamp as group_timestamp,
        unnest(
            list_concat(
                item.added_participants,
                item.removed_participants,
                case
                    when item.wa_id <> '' or item.user_id <> ''
                        then [{
                            'wa_id': item.wa_id,
                            'user_id': item.user_id,
                            'parent_user_id': item.parent_user_id,
                            'username': item.username,
                            'input': cast(null as varchar)
                        }]
                end
            )
        ) as item,
        item_path
    from items

),

named as (

    select
        * exclude (item),
        {{ blank_to_null('group_id_text') }} as group_id,
        {{ blank_to_null('participant_event_text') }} as participant_event,
        {{ blank_to_null('item.wa_id') }} as wa_id,
        {{ blank_to_null('item.user_id') }} as user_id,
        {{ blank_to_null('item.parent_user_id') }} as parent_user_id,
        {{ blank_to_null('item.username') }} as username,
        {{ blank_to_null('item.input') }} as input,
        {{ epoch_to_timestamp('group_timestamp') }} as event_at
    from people

),

joined as (

    select
        *,
        {{ occurred_at('event_at', 'received_at') }} as occurred_at
    from named

),

-- A person whom one event names twice is there once.
final as (

    select distinct
        {{ rare_item_columns(content_id(['coalesce(phone_number_id, waba_id)', 'event_at', 'group_id', 'participant_event', 'wa_id', 'user_id', 'parent_user_id', 'username', 'input']), has_contacts=false) }},
        group_id,
        participant_event,
        wa_id,
        user_id,
        parent_user_id,
        username,
        input
    from joined

)

select * from final
