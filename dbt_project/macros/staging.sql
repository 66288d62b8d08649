{#- Pieces that all staging models share. -#}

{#- An empty or blank text is no value. -#}
{% macro blank_to_null(column) -%}
    case when trim({{ column }}) <> '' then {{ column }} end
{%- endmacro %}

{#- Seconds since 1970, as text, to a UTC timestamp; what would lie beyond the year 5000 is
    milliseconds. Null when it is not such a number, or from before there was a WhatsApp Business API. -#}
{% macro epoch_to_timestamp(column) -%}
    case
        when try_cast({{ column }} as bigint) between 1514764800 and 99999999999
            then make_timestamp(try_cast({{ column }} as bigint) * 1000000)
        when try_cast({{ column }} as bigint) between 1514764800000 and 99999999999999
            then make_timestamp(try_cast({{ column }} as bigint) * 1000)
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

{#- Where an item stands in its body, as a JSON path without the leading `$.`. -#}
{% macro item_path() -%}
    'entry[' || entry_index || '].changes[' || change_index || '].value'
        || coalesce('.' || list_name || '[' || list_index || ']', '')
{%- endmacro %}

{#- The columns that every staging model shows of an item, before its own. -#}
{% macro item_columns(id_columns) -%}
    coalesce(item_id, {{ content_id(['coalesce(phone_number_id, waba_id)'] + id_columns) }}) as event_id,
        load_id,
        landing_file,
        line_number,
        {{ item_path() }} as json_path,
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

{#- The elements of a list that only few changes hold, such as their calls or their history. -#}
{% macro rare_items(list_name) -%}
    {%- set shape = value_shape() -%}
    select
        * exclude (value, detail),
        json_path || '.{{ list_name }}[' || item_index || ']' as item_path
    from (
        select
            * exclude (json_path),
            json_path,
            value.contacts as contacts,
            unnest(value.{{ list_name }}) as item,
            generate_subscripts(value.{{ list_name }}, 1) - 1 as item_index
        from (
            select
                load_id,
                landing_file,
                line_number,
                {{ item_path() }} as json_path,
                waba_id,
                phone_number_id,
                display_phone_number,
                source_field,
                received_at,
                detail,
                {{ json_read(
                    'detail',
                    {'contacts': shape['contacts'], list_name: shape[list_name]},
                ) }} as value
            from {{ ref('stg_whatsapp__rare_item') }}
            where item_kind = 'other' and contains(detail, '"{{ list_name }}":[')
        )
    )
{%- endmacro %}

{#- The contact an item belongs to: by user id, else by phone, else the only one; never by place. -#}
{% macro contact_of(contacts, user_id, wa_id) -%}
    coalesce(
        list_filter({{ contacts }}, lambda c: c.user_id = {{ user_id }})[1],
        list_filter(
            {{ contacts }},
            lambda c: c.wa_id = {{ wa_id }}
            and coalesce(nullif(c.user_id, '') = {{ user_id }}, true)
        )[1],
        case
            when
                len({{ contacts }}) = 1
                and coalesce(nullif({{ contacts }}[1].user_id, '') = {{ user_id }}, true)
                and ({{ user_id }} is not null or {{ wa_id }} is null or {{ contacts }}[1].wa_id <> '')
                then {{ contacts }}[1]
        end
    )
{%- endmacro %}

{#- The common columns of a model over rare items; `contact` is null where there never is one. -#}
{% macro rare_item_columns(event_id, has_contacts=true) -%}
    {{ event_id }} as event_id,
        load_id,
        landing_file,
        line_number,
        item_path as json_path,
        waba_id,
        phone_number_id,
        display_phone_number,
        source_field,
        received_at,
        occurred_at,
        {{ evidence_at('source_field', 'occurred_at', 'received_at') }} as evidence_at,
    {%- if has_contacts %}
        {{ blank_to_null('contact.wa_id') }} as contact_wa_id,
        {{ blank_to_null('contact.user_id') }} as contact_user_id,
        {{ blank_to_null('contact.parent_user_id') }} as contact_parent_user_id,
        {{ blank_to_null('contact.profile.username') }} as contact_username,
        {{ blank_to_null('contact.profile.name') }} as contact_profile_name,
        contact is not null as has_contact
    {%- else %}
        cast(null as varchar) as contact_wa_id,
        cast(null as varchar) as contact_user_id,
        cast(null as varchar) as contact_parent_user_id,
        cast(null as varchar) as contact_username,
        cast(null as varchar) as contact_profile_name,
        false as has_contact
    {%- endif %}
{%- endmacro %}

{#- Digits of a phone number; anything but a phone number (a user id, say) stays as it is. -#}
{% macro phone_digits(column) -%}
    case
        when regexp_full_match({{ column }}, '[-+0-9 ().]+')
            then regexp_replace({{ column }}, '[^0-9]', '', 'g')
        else {{ column }}
    end
{%- endmacro %}

{#- What every event tells of itself, but its evidence_at and its message. -#}
{% macro event_columns() -%}
    load_id, landing_file, line_number,
        waba_id, phone_number_id, event_id, source_field, received_at, occurred_at
{%- endmacro %}

{#- The digits of a business's own number, as WhatsApp writes a person's. -#}
{% macro digits_of(column) -%}
    regexp_replace({{ column }}, '[^0-9]', '', 'g')
{%- endmacro %}
