{#- The expression holds on every row; on one where it is null, nothing is claimed. On a column the
    expression continues its name: `>= 0`. -#}
{% test expression_is_true(model, expression, column_name=none) %}

select *
from {{ model }}
where not ({{ column_name if column_name is not none }} {{ expression }})

{% endtest %}
