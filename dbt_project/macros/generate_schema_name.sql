{#- Schemas are called what the project calls them (seeds, staging, intermediate, marts), without the
    prefix that dbt puts before a custom schema: the warehouse belongs to this project alone. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
