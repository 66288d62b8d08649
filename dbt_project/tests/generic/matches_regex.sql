{#- Every value matches the whole pattern; nulls are left alone. -#}
{% test matches_regex(model, column_name, pattern) %}

select {{ column_name }}
from {{ model }}
where not {{ regex_full_match(column_name, pattern) }}

{% endtest %}

{% macro regex_full_match(column, pattern) -%}
    regexp_full_match({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}
