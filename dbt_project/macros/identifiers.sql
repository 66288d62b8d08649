{#- The shape of an identifier decides what it is, before the name of the field it came in. -#}

{% macro bsuid_pattern() %}[A-Z]{2}\.[A-Za-z0-9]{1,128}{% endmacro %}

{% macro first_matching(columns, pattern) -%}
    coalesce(
        {%- for column in columns %}
        case when regexp_full_match({{ column }}, '{{ pattern }}') then {{ column }} end
        {{- "," if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- First column that holds a business-scoped user ID; a phone slot may hold one. -#}
{% macro bsuid_of(columns) -%}
    {{ first_matching(columns, bsuid_pattern()) }}
{%- endmacro %}

{#- First column that holds a parent BSUID. -#}
{% macro parent_bsuid_of(columns) -%}
    {{ first_matching(columns, '[A-Z]{2}\\.ENT\\.[A-Za-z0-9]{1,128}') }}
{%- endmacro %}

{#- First column that holds a phone number: digits, which some gateways put a plus before or a server name behind. -#}
{% macro phone_pattern() %}\+?([0-9]{5,20})(@s\.whatsapp\.net|@c\.us)?{% endmacro %}

{% macro phone_of(columns) -%}
    coalesce(
        {%- for column in columns %}
        nullif(regexp_extract({{ column }}, '^{{ phone_pattern() }}$', 1), '')
        {{- "," if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- R4: usernames compare lower-cased and without a leading @. -#}
{% macro normalised_username(column) -%}
    nullif(lower(regexp_replace(trim({{ column }}), '^@', '')), '')
{%- endmacro %}

{#- R5: a name is its words of letters and digits; case, signs and white space between them do not count. -#}
{% macro normalised_name(column) -%}
    nullif(
        lower(
            trim(
                regexp_replace(
                    {# joiners and variation selectors belong to the sign or letter before them #}
                    regexp_replace(
                        nfc_normalize({{ column }}), '[\x{200B}-\x{200F}\x{20E3}\x{FE00}-\x{FE0F}]', '', 'g'
                    ),
                    '[^\p{L}\p{M}\p{N}]+',
                    ' ',
                    'g'
                )
            )
        ),
        ''
    )
{%- endmacro %}

{#- R5: a fuller name proves over any silence, its first word alone only for a time. -#}
{% macro is_same_name(name, other_name, silent_since, at) -%}
    split_part({{ name }}, ' ', 1) = split_part({{ other_name }}, ' ', 1)
    and (
        ({{ name }} = {{ other_name }} and contains({{ name }}, ' '))
        or {{ at }} <= {{ silent_since }} + interval ({{ var('one_word_name_max_silence_days') }}) day
    )
{%- endmacro %}

{#- R2, R5, R8: two names contradict each other where their first words differ; null where one is missing. -#}
{% macro is_other_name(name, other_name) -%}
    split_part({{ name }}, ' ', 1) <> split_part({{ other_name }}, ' ', 1)
{%- endmacro %}

{#- The portfolio that owned a WABA; a WABA nobody mapped is a portfolio of its own. -#}
{% macro portfolio_id_of(account, event) -%}
    coalesce({{ account }}.portfolio_id, 'waba:' || {{ event }}.waba_id)
{%- endmacro %}

{% macro owned_at(account, event) -%}
    {{ event }}.waba_id = {{ account }}.waba_id
    and {{ event }}.evidence_at >= {{ account }}.valid_from
    and {{ event }}.evidence_at < {{ account }}.valid_to
{%- endmacro %}

{#- Nodes of the graph, as text a person can read. -#}
{% macro bsuid_node(column) -%}
    'bsuid:' || {{ column }}
{%- endmacro %}

{% macro phone_node(phone, opened_at) -%}
    'phone:' || {{ phone }} || '@' || strftime({{ opened_at }}, '%Y-%m-%dT%H:%M:%S.%fZ')
{%- endmacro %}

{% macro end_of_time() -%}
    timestamp '9999-12-31'
{%- endmacro %}

{#- One order for all observations, so that a tie never depends on how the input was delivered. -#}
{% macro observation_order() -%}
    evidence_at, received_at, event_id, observation_kind
{%- endmacro %}

{#- First column that holds something that is no identifier at all: ignored, counted, reviewed. -#}
{% macro malformed_of(columns) -%}
    coalesce(
        {%- for column in columns %}
        case
            when not regexp_full_match({{ column }}, '{{ phone_pattern() }}|[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}')
                then {{ column }}
        end
        {{- "," if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
