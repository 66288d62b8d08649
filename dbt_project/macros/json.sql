{#- Reading JSON is the one place where every engine speaks its own language: it is kept here.

    A body is parsed once, into the one shape below. Keys that are not listed are not read (the model
    stg_whatsapp__unrecognised counts them); a key of another type than listed becomes null. In a
    shape 'text' is a leaf and a list of one element is an array. -#}

{#- A message or an echo. -#}
{% macro message_shape() -%}
    {{ return({
        'id': 'text',
        'timestamp': 'text',
        'type': 'text',
        'from': 'text',
        'from_user_id': 'text',
        'from_parent_user_id': 'text',
        'to': 'text',
        'to_user_id': 'text',
        'to_parent_user_id': 'text',
        'group_id': 'text',
        'origin': 'text',
        'context': {'id': 'text'},
        'referral': {'ctwa_clid': 'text'},
        'edit': {'original_message_id': 'text'},
        'revoke': {'original_message_id': 'text'},
        'identity': {'hash': 'text'},
        'contacts': [{
            'origin': 'text',
            'name': {'formatted_name': 'text'},
            'phones': [{'phone': 'text', 'wa_id': 'text'}],
        }],
        'system': {
            'type': 'text',
            'body': 'text',
            'wa_id': 'text',
            'new_wa_id': 'text',
            'user_id': 'text',
            'previous_user_id': 'text',
            'parent_user_id': 'text',
            'previous_parent_user_id': 'text',
            'customer': 'text',
            'identity': 'text',
        },
    }) }}
{%- endmacro %}

{#- What a change holds. -#}
{% macro value_shape() -%}
    {%- set contact = {
        'wa_id': 'text',
        'user_id': 'text',
        'parent_user_id': 'text',
        'identity_key_hash': 'text',
        'profile': {'name': 'text', 'username': 'text'},
    } -%}
    {%- set message = message_shape() -%}
    {%- set status = {
        'id': 'text',
        'type': 'text',
        'status': 'text',
        'timestamp': 'text',
        'recipient_id': 'text',
        'recipient_type': 'text',
        'recipient_user_id': 'text',
        'recipient_parent_user_id': 'text',
        'parent_recipient_user_id': 'text',
        'parent_user_id': 'text',
        'recipient_participant_id': 'text',
        'recipient_participant_user_id': 'text',
        'recipient_participant_parent_user_id': 'text',
        'participant_recipient_id': 'text',
        'participant_recipient_user_id': 'text',
        'participant_recipient_parent_user_id': 'text',
        'recipient_identity_key_hash': 'text',
        'biz_opaque_callback_data': 'text',
        'pricing': {'category': 'text'},
        'errors': [{'code': 'text'}],
    } -%}
    {%- set participant = {
        'wa_id': 'text',
        'user_id': 'text',
        'parent_user_id': 'text',
        'username': 'text',
        'input': 'text',
    } -%}
    {%- set value = {
        'metadata': {'display_phone_number': 'text', 'phone_number_id': 'text'},
        'contacts': [contact],
        'messages': [message],
        'statuses': [status],
        'message_echoes': [message],
        'standby': {
            'contacts': [contact],
            'messages': [message],
            'statuses': [status],
            'message_echoes': [message],
        },
        'user_id_update': [{
            'wa_id': 'text',
            'timestamp': 'text',
            'user_id': {'previous': 'text', 'current': 'text'},
            'parent_user_id': {'previous': 'text', 'current': 'text'},
        }],
        'user_preferences': [{
            'wa_id': 'text',
            'user_id': 'text',
            'parent_user_id': 'text',
            'category': 'text',
            'value': 'text',
            'detail': 'text',
            'timestamp': 'text',
        }],
        'history': [{
            'threads': [{
                'id': 'text',
                'context': {
                    'wa_id': 'text',
                    'user_id': 'text',
                    'parent_user_id': 'text',
                    'username': 'text',
                },
                'messages': [{
                    'id': 'text',
                    'timestamp': 'text',
                    'type': 'text',
                    'from': 'text',
                    'from_user_id': 'text',
                    'from_parent_user_id': 'text',
                    'to': 'text',
                    'history_context': {'status': 'text'},
                }],
            }],
        }],
        'state_sync': [{
            'type': 'text',
            'action': 'text',
            'contact': {
                'phone_number': 'text',
                'user_id': 'text',
                'parent_user_id': 'text',
                'username': 'text',
                'full_name': 'text',
            },
            'metadata': {'timestamp': 'text'},
        }],
        'calls': [{
            'id': 'text',
            'event': 'text',
            'direction': 'text',
            'duration': 'text',
            'timestamp': 'text',
            'from': 'text',
            'from_user_id': 'text',
            'from_parent_user_id': 'text',
            'to': 'text',
            'to_user_id': 'text',
            'to_parent_user_id': 'text',
        }],
        'groups': [{
            'type': 'text',
            'group_id': 'text',
            'timestamp': 'text',
            'wa_id': 'text',
            'user_id': 'text',
            'parent_user_id': 'text',
            'username': 'text',
            'added_participants': [participant],
            'removed_participants': [participant],
        }],
        'event': 'text',
        'timestamp': 'text',
        'waba_info': {'waba_id': 'text', 'owner_business_id': 'text'},
    } -%}
    {{ return(value) }}
{%- endmacro %}

{#- A whole body. -#}
{% macro webhook_shape() -%}
    {{ return({
        'entry': [{
            'id': 'text',
            'time': 'text',
            'changes': [{'field': 'text', 'value': value_shape()}],
        }],
    }) }}
{%- endmacro %}

{#- A JSON text read into the given shape. -#}
{% macro json_read(column, shape) -%}
    {{ return(adapter.dispatch('json_read')(column, shape)) }}
{%- endmacro %}

{% macro duckdb__json_read(column, shape) -%}
    from_json({{ column }}, '{{ tojson(shape) | replace('"text"', '"VARCHAR"') }}')
{%- endmacro %}

{% macro spark__json_read(column, shape) -%}
    from_json({{ column }}, '{{ spark_type(shape) }}')
{%- endmacro %}

{% macro spark_type(shape) -%}
    {%- if shape is mapping -%}
        struct<{% for key, part in shape.items() %}{{ key }}: {{ spark_type(part) }}{{ ', ' if not loop.last }}{% endfor %}>
    {%- elif shape is string -%}
        string
    {%- else -%}
        array<{{ spark_type(shape[0]) }}>
    {%- endif -%}
{%- endmacro %}

{#- The part of a JSON text that stands at a path like a.b[0].c, as compact JSON text. -#}
{% macro json_part(column, path) -%}
    {{ return(adapter.dispatch('json_part')(column, path)) }}
{%- endmacro %}

{% macro duckdb__json_part(column, path) -%}
    cast(json_extract({{ column }}, '$.' || {{ path }}) as varchar)
{%- endmacro %}

{% macro spark__json_part(column, path) -%}
    get_json_object({{ column }}, '$.' || {{ path }})
{%- endmacro %}

{#- A JSON text that this engine can read. Half an emoji, as left behind by a sender that cuts texts,
    is valid JSON to most and an error to some: it is taken out, the rest of the body stays. -#}
{% macro readable_json(column) -%}
    {{ return(adapter.dispatch('readable_json')(column)) }}
{%- endmacro %}

{% macro duckdb__readable_json(column) -%}
    case
        when
            (contains({{ column }}, '\ud') or contains({{ column }}, '\uD'))
            and not json_valid({{ column }})
            then {{ without_half_emojis(column) }}
        else {{ column }}
    end
{%- endmacro %}

{#- Spark has no json_valid; what is whole stays as it is. -#}
{% macro spark__readable_json(column) -%}
    case
        when contains({{ column }}, '\ud') or contains({{ column }}, '\uD')
            then {{ without_half_emojis(column) }}
        else {{ column }}
    end
{%- endmacro %}

{% macro without_half_emojis(column) -%}
    {%- set high = '\\\\u[dD][89abAB][0-9a-fA-F]{2}' -%}
    {%- set low = '\\\\u[dD][c-fC-F][0-9a-fA-F]{2}' -%}
    regexp_replace({{ column }}, '(\\\\|{{ high }}{{ low }})|{{ high }}|{{ low }}', '\1', 'g')
{%- endmacro %}
