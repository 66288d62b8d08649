{#- On a model: it has at least one row. On a column: no value is an empty or blank text. -#}
{% test not_empty(model, column_name=none) %}

{%- if column_name is none %}

select 'no rows' as problem
where not exists (select 1 from {{ model }})

{%- else %}

select {{ column_name }}
from {{ model }}
where trim(cast({{ column_name }} as varchar)) = ''

{%- endif %}

{% endtest %}
