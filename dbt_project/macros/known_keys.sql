{#- What WhatsApp is known to send: the keys this project reads and the ones it leaves alone. -#}

{#- Keys that are known and not read, by the object they stand in. What lies below them is not looked
    into: the content of a message is nobody's business here. -#}
{% macro unread_keys() -%}
    {%- set value = '$.entry[].changes[].value' -%}
    {%- set message = [
        'text', 'image', 'audio', 'video', 'document', 'sticker', 'location', 'reaction',
        'interactive', 'button', 'order', 'errors', 'unsupported', 'history_context',
        'message_echoes', 'voice', 'poll', 'event', 'product', 'ephemeral', 'request_welcome',
        'recipient_type', 'from_logical_id', 'media_placeholder'
    ] -%}
    {%- set status = [
        'conversation', 'payment', 'recipient_logical_id'
    ] -%}
    {%- set unread = {
        '$': ['object'],
        value: ['messaging_product', 'errors', 'sender', 'recipient', 'type'],
        value ~ '.messages[].system': [],
        value ~ '.calls[]': [
            'status', 'session', 'start_time', 'end_time', 'errors', 'call_recording', 'call_transcript',
            'biz_opaque_callback_data', 'deeplink_payload', 'cta_payload'
        ],
        value ~ '.groups[]': [
            'reason', 'initiated_by', 'join_request_id', 'request_id', 'failed_participants',
            'invite_link', 'errors'
        ],
        value ~ '.user_preferences[]': ['signup_id'],
        value ~ '.user_id_update[]': ['detail'],
        value ~ '.state_sync[].contact': ['first_name'],
        value ~ '.state_sync[].metadata': ['version'],
        value ~ '.history[]': ['metadata', 'errors'],
        value ~ '.history[].threads[].messages[]': message + ['context', 'edit', 'revoke'],
        value ~ '.history[].threads[].messages[].history_context': [],
        value ~ '.waba_info': [
            'solution_id', 'solution_partner_business_ids', 'partner_app_id', 'ad_account_linked'
        ],
    } -%}
    {%- for place in [value, value ~ '.standby'] -%}
        {%- do unread.update({
            place ~ '.messages[]': message,
            place ~ '.message_echoes[]': message,
            place ~ '.statuses[]': status,
        }) -%}
        {%- for list_name in ['messages', 'message_echoes'] -%}
            {%- set one = place ~ '.' ~ list_name ~ '[]' -%}
            {%- do unread.update({
                one ~ '.context': [
                    'from', 'forwarded', 'frequently_forwarded', 'referred_product', 'group_id',
                    'from_user_id', 'from_parent_user_id'
                ],
                one ~ '.edit': ['message'],
                one ~ '.referral': [
                    'source_url', 'source_id', 'source_type', 'headline', 'body', 'media_type',
                    'image_url', 'video_url', 'thumbnail_url', 'welcome_message'
                ],
                one ~ '.identity': ['acknowledged', 'created_timestamp'],
                one ~ '.contacts[]': [
                    'vcard', 'addresses', 'birthday', 'emails', 'org', 'urls', 'user_id'
                ],
                one ~ '.contacts[].name': [
                    'first_name', 'last_name', 'middle_name', 'suffix', 'prefix'
                ],
                one ~ '.contacts[].phones[]': ['type'],
            }) -%}
        {%- endfor -%}
        {%- do unread.update({
            place ~ '.statuses[].errors[]': ['title', 'message', 'error_data', 'href', 'details'],
            place ~ '.statuses[].pricing': ['billable', 'pricing_model', 'type'],
        }) -%}
    {%- endfor -%}
    {{ return(unread) }}
{%- endmacro %}

{#- The objects of a shape with their keys, as [path, [keys]] pairs. -#}
{% macro shape_objects(shape, path='$') -%}
    {%- set objects = [] -%}
    {%- if shape is mapping -%}
        {%- do objects.append([path, shape.keys() | list]) -%}
        {%- for key, part in shape.items() -%}
            {%- do objects.extend(shape_objects(part, path ~ '.' ~ key)) -%}
        {%- endfor -%}
    {%- elif shape is not string -%}
        {%- do objects.extend(shape_objects(shape[0], path ~ '[]')) -%}
    {%- endif -%}
    {{ return(objects) }}
{%- endmacro %}

{#- Known (object_path, key_name) pairs as rows. -#}
{% macro known_keys() -%}
    {%- set unread = unread_keys() -%}
    {%- set rows = [] -%}
    {%- for path, keys in shape_objects(webhook_shape()) -%}
        {%- for key in keys + unread.get(path, []) -%}
            {%- do rows.append("('" ~ path ~ "', '" ~ key ~ "')") -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ rows | join(',\n    ') }}
{%- endmacro %}

{#- All keys of a JSON text: object_path and key_name, with [] for every position of a list. -#}
{% macro json_key_paths(column, relation, columns) -%}
    {{ return(adapter.dispatch('json_key_paths')(column, relation, columns)) }}
{%- endmacro %}

{% macro duckdb__json_key_paths(column, relation, columns) -%}
    select
        {{ columns | join(', ') }},
        regexp_replace(tree.path, '\[[0-9]+\]', '[]', 'g') as object_path,
        tree.key as key_name
    from {{ relation }}, json_tree({{ column }}) as tree
    where tree.key is not null and not ends_with(tree.fullkey, ']')
{%- endmacro %}

{#- json_outline has listed them already. -#}
{% macro spark__json_key_paths(column, relation, columns) -%}
    select
        {{ columns | join(', ') }},
        inline({{ column }})
    from {{ relation }}
{%- endmacro %}

{#- One value for all JSON texts with the same keys. -#}
{% macro json_outline(column) -%}
    {{ return(adapter.dispatch('json_outline')(column)) }}
{%- endmacro %}

{% macro duckdb__json_outline(column) -%}
    json_structure({{ column }})
{%- endmacro %}

{% macro spark__json_outline(column) -%}
    key_paths({{ column }})
{%- endmacro %}

{#- True of one in 64 values, whichever engine asks. -#}
{% macro is_one_in_64(column) -%}
    md5({{ column }}) < '04'
{%- endmacro %}
