{{ config(materialized='incremental') }}

{% set read_fields -%}
    (
        'messages', 'standby', 'smb_message_echoes', 'history', 'smb_app_state_sync', 'calls',
        'group_participants_update', 'user_preferences', 'user_id_update', 'account_update'
    )
{%- endset %}

-- Event kinds are counted over everything. Keys are looked for in every item of a kind that is rare in its load and
-- in one of 64 of a frequent one: listing the keys of every body costs more than reading it, and a new key comes
-- with thousands of items, not with one. Of a field that nothing reads its name says enough.
with

items as not materialized (

    select * from {{ ref('stg_whatsapp__item') }}
    {{- landed_since() }}

),

webhooks as (

    select * from {{ source('raw', 'webhook') }}
    {{- landed_since() }}

),

known_keys (object_path, key_name) as (

    values
    {{ known_keys() }}

),

kinds as (

    select
        load_id,
        source_field,
        item_kind,
        item_type,
        count(*) as item_count,
        min(received_at) as first_received_at,
        max(received_at) as last_received_at,
        min(landing_file || ':' || line_number) as example
    from items
    group by load_id, source_field, item_kind, item_type

),

system_messages as (

    select
        load_id,
        received_at,
        landing_file || ':' || line_number as example,
        {{ json_read('detail', message_shape()) }} as message
    from items
    where item_kind = 'message' and item_type = 'system'

),

unknown_kinds as (

    select
        load_id,
        'field' as kind,
        coalesce(source_field, '') as path,
        item_count,
        first_received_at,
        last_received_at,
        example
    from kinds
    where coalesce(source_field, '') not in {{ read_fields }}
    union all
    select
        load_id,
        'message type' as kind,
        coalesce(item_type, '') as path,
        item_count,
        first_received_at,
        last_received_at,
        example
    from kinds
    where
        item_kind in ('message', 'echo')
        and coalesce(item_type, '') not in (
            'text', 'image', 'audio', 'video', 'document', 'sticker', 'location', 'contacts',
            'interactive', 'button', 'order', 'reaction', 'system', 'edit', 'revoke', 'unsupported',
            'request_welcome', 'ephemeral', 'media_placeholder', 'errors'
        )
    union all
    select
        load_id,
        'status' as kind,
        coalesce(item_type, '') as path,
        item_count,
        first_received_at,
        last_received_at,
        example
    from kinds
    where
        item_kind = 'status'
        and coalesce(item_type, '') not in (
            'sent', 'delivered', 'read', 'played', 'failed', 'deleted', 'warning', 'pending',
            'captured', 'canceled', 'RINGING', 'ACCEPTED', 'REJECTED'
        )
    union all
    select
        load_id,
        'system type' as kind,
        coalesce(message.system.type, '') as path,
        count(*) as item_count,
        min(received_at) as first_received_at,
        max(received_at) as last_received_at,
        min(example) as example
    from system_messages
    where
        coalesce(message.system.type, '') not in (
            'user_changed_number', 'customer_changed_number', 'user_changed_user_id',
            'customer_identity_changed', 'user_identity_changed'
        )
    group by load_id, message.system.type

),

examined as (

    select distinct
        items.load_id,
        items.landing_file,
        items.line_number
    from items
    inner join kinds
        on items.load_id = kinds.load_id
        and items.source_field is not distinct from kinds.source_field
        and items.item_kind = kinds.item_kind
        and items.item_type is not distinct from kinds.item_type
    where
        items.source_field in {{ read_fields }}
        and (
            kinds.item_count <= 1000
            or {{ is_one_in_64('coalesce(items.item_id, items.detail)') }}
        )

),

bodies as (

    select
        webhooks.load_id,
        {{ json_outline(readable_json('webhooks.body')) }} as outline,
        webhooks.received_at,
        webhooks.landing_file || ':' || webhooks.line_number as example
    from webhooks
    inner join examined
        on webhooks.load_id = examined.load_id
        and webhooks.landing_file = examined.landing_file
        and webhooks.line_number = examined.line_number

),

outlines as (

    select
        load_id,
        outline,
        count(*) as item_count,
        min(received_at) as first_received_at,
        max(received_at) as last_received_at,
        min(example) as example
    from bodies
    group by load_id, outline

),

keys as (

    {{ json_key_paths(
        'outline', 'outlines', ['load_id', 'item_count', 'first_received_at', 'last_received_at', 'example']
    ) }}

),

unknown_keys as (

    select
        keys.load_id,
        'key' as kind,
        keys.object_path || '.' || keys.key_name as path,
        keys.item_count,
        keys.first_received_at,
        keys.last_received_at,
        keys.example
    from keys
    where
        exists (
            select 1 from known_keys where known_keys.object_path = keys.object_path
        )
        and not exists (
            select 1
            from known_keys
            where
                known_keys.object_path = keys.object_path
                and known_keys.key_name = keys.key_name
        )

),

unknown as (

    select * from unknown_kinds
    union all
    select * from unknown_keys

),

found as (

    select
        load_id,
        kind,
        path,
        cast(sum(item_count) as bigint) as occurrences,
        min(first_received_at) as first_received_at,
        max(last_received_at) as last_received_at,
        regexp_replace(min(example), ':[0-9]+$', '') as example_landing_file,
        cast(regexp_extract(min(example), '[0-9]+$') as integer) as example_line_number
    from unknown
    group by load_id, kind, path

),

-- Whose webhook the example is, and whether Meta documents it, so that it is known to be of no use here.
placed as (

    select
        found.load_id,
        found.kind,
        found.path,
        found.kind = 'field' and regexp_full_match(
            found.path,
            'security|flows|account_(alerts|settings_update|review_update)|message_template_.*_update|'
            || 'phone_number_.*_update|business_.*_update|business_username_updates?|template_category_update|'
            || 'group_.*_update|messaging_handovers|partner_solutions|payment_configuration_update|'
            || 'tracking_events|user_preferences|business_status_update|history'
        ) as is_documented,
        found.occurrences,
        found.first_received_at,
        found.last_received_at,
        min(items.waba_id) as example_waba_id,
        found.example_landing_file,
        found.example_line_number
    from found
    left join items
        on found.load_id = items.load_id
        and found.example_landing_file = items.landing_file
        and found.example_line_number = items.line_number
    group by all

),

-- That a load was looked through is remembered even where it has nothing new: nobody looks through it again.
looked_through as (

    select
        load_id,
        'load' as kind,
        '' as path,
        count(*) as occurrences,
        min(received_at) as first_received_at,
        max(received_at) as last_received_at
    from items
    group by load_id

),

final as (

    select * from placed
    union all by name
    select * from looked_through

)

select * from final
