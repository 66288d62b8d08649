{#- Pieces that all staging models share. -#}

{#- An empty or blank text is no value. -#}
{% macro blank_to_null(column) -%}
    case when trim({{ column }}) <> '' then {{ column }} end
{%- endmacro %}

{#- Seconds since 1970, as text, to a UTC timestamp; null when it is not such a number. -#}
{% macro epoch_to_timestamp(column) -%}
    {{ return(adapter.dispatch('epoch_to_timestamp')(column)) }}
{%- endmacro %}

{% macro duckdb__epoch_to_timestamp(column) -%}
    case
        when try_cast({{ column }} as bigint) between 0 and 253402300799
            then make_timestamp(try_cast({{ column }} as bigint) * 1000000)
    end
{%- endmacro %}

{#- When the event says it happened; its receipt when it says nothing or more than a day too much. -#}
{% macro occurred_at(event_at, received_at) -%}
    case
        when {{ event_at }} <= {{ received_at }} + interval 1 day then {{ event_at }}
        else {{ received_at }}
    end
{%- endmacro %}

{#- Identifiers in synced data are as of the sync: its receipt dates them, not the old message. -#}
{% macro evidence_at(source_field, occurred_at, received_at) -%}
    case
        when {{ source_field }} in ('history', 'smb_app_state_sync') then {{ received_at }}
        else {{ occurred_at }}
    end
{%- endmacro %}

{#- An id made of content, for events that carry none: equal content is the same event. -#}
{% macro content_id(columns) -%}
    md5(
        {%- for column in columns %}
        coalesce('=' || cast({{ column }} as varchar), '') || '|'
        {{- " ||" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The items of one kind, each once: whatever stg_whatsapp__repeat lists is left out. -#}
{% macro first_receipts(condition) -%}
    select *
    from {{ ref('stg_whatsapp__item') }} as items
    where
        {{ condition }}
        and not exists (
            select 1
            from {{ ref('stg_whatsapp__repeat') }} as repeats
            where
                repeats.load_id = items.load_id
                and repeats.landing_file = items.landing_file
                and repeats.line_number = items.line_number
                and repeats.json_path = items.json_path
        )
{%- endmacro %}

{#- The columns that every staging model shows of an item, before its own. -#}
{% macro item_columns(id_columns) -%}
    coalesce(item_id, {{ content_id(['waba_id'] + id_columns) }}) as event_id,
        load_id,
        landing_file,
        line_number,
        json_path,
        waba_id,
        phone_number_id,
        display_phone_number,
        source_field,
        received_at,
        occurred_at,
        {{ evidence_at('source_field', 'occurred_at', 'received_at') }} as evidence_at,
        contact_wa_id,
        contact_user_id,
        contact_parent_user_id,
        contact_username,
        contact_profile_name,
        has_contact
{%- endmacro %}
