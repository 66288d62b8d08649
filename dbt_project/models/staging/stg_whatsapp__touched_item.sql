-- The ids that items landed since the last complete run bear, edit or take back: what is known of
-- these is read again. Empty when the run rebuilds.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}

),

history_messages as (

    select * from {{ ref('stg_whatsapp__history_message') }}

),

landed as (

    select distinct item_id
    from items
    where {{ 'load_id > ' ~ last_load_id() if is_adding() else 'false' }}

),

-- The item edited or taken back, by any copy of an item that has come again.
originals as (

    select distinct items.original_message_id as item_id
    from items
    inner join landed on items.item_id = landed.item_id
    where items.original_message_id is not null

),

synced as (

    select distinct message_id as item_id
    from history_messages
    where {{ 'load_id > ' ~ last_load_id() if is_adding() else 'false' }}

),

final as (

    select item_id from landed
    where item_id is not null
    union
    select item_id from originals
    union
    select item_id from synced
    where item_id is not null

)

select * from final
