{#- What dbt-spark does otherwise than this project needs it (docs/spark.md). -#}

{#- On Spark every run rebuilds: what would be added to is a table like any other. -#}
{% materialization incremental, adapter='spark' %}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}

{#- Parquet knows no constraints and no comments: the warehouse has them (orchestration/spark/warehouse.py). -#}
{% macro spark__persist_constraints(relation, model) %}{% endmacro %}

{% macro spark__persist_docs(relation, model, for_relation=true, for_columns=true) %}{% endmacro %}

{#- Fixtures of unit tests are read as DuckDB's SQL too. -#}
{% macro spark__escape_single_quotes(expression) -%}
    {{ expression | replace("'", "''") }}
{%- endmacro %}

{#- A null in a fixture may be a struct, whose type DuckDB's SQL writes otherwise. -#}
{% macro spark__safe_cast(field, type) -%}
    {%- if type.startswith('struct<') -%}
        from_json(cast({{ field }} as string), '{{ type }}')
    {%- else -%}
        cast({{ field }} as {{ type }})
    {%- endif -%}
{%- endmacro %}
