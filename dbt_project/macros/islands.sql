{#-
    What a run that adds works out again.

    Evidence is only ever appended: items, observations, changes. All identifiers that evidence connects are one island
    (int_identity__island), and no rule looks outside of one. So a run works out the islands that got new evidence, and
    a table that is kept from run to run gives up their rows and takes them in again. A run that rebuilds finds all
    islands touched: models know nothing else about it.
-#}

{#- An identifier as a number of 64 bits, within its portfolio. Two that fall on one number share an island: harmless. -#}
{% macro identifier_key(portfolio_id, identifier) -%}
    hash({{ portfolio_id }}, {{ identifier }})
{%- endmacro %}

{#- A number made of several columns, to group or join by instead of by long texts. -#}
{% macro row_key(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}

{#- Of an import, what was landed since this model last took something in. -#}
{% macro landed_since(word='where') -%}
    {%- if model.config.materialized != 'unit' and is_incremental() %}
    {{ word }} load_id > (select coalesce(max(load_id), 0) from {{ this }})
    {%- endif -%}
{%- endmacro %}

{#- Of a table that is kept from run to run, the rows of the islands that this run works out. -#}
{% macro of_this_run(word='where') -%}
    {%- if model.config.materialized != 'unit' %}
    {{ word }} island_id in (select island_id from {{ ref('int_identity__touched_island') }})
    {%- endif -%}
{%- endmacro %}

{#- pre-hook of a table that is kept from run to run: the rows of the islands that this run works out make way. -#}
{% macro forget_touched_islands() -%}
    {%- set touched_islands = ref('int_identity__touched_island') -%}
    {%- if is_incremental() %}
    delete from {{ this }} where island_id in (select island_id from {{ touched_islands }})
    {%- endif -%}
{%- endmacro %}

{#- Of an import of a mart, the rows of islands that are not set aside. -#}
{% macro unless_quarantined(word='where') -%}
    {%- if model.config.materialized != 'unit' %}
    {{ word }} island_id not in (select island_id from {{ ref('int_customer__quarantine') }})
    {%- endif -%}
{%- endmacro %}

{#- post-hook of fct_inbound_thread, the one kept table that depends on what day it is: a thread that nobody answered is
    open until its window closes. -#}
{% macro judge_open_threads() -%}
    {%- set as_of = ref('int_identity__as_of') -%}
    {%- if is_incremental() -%}
    {%- set verdict -%}
        if(
            last_inbound_at + interval ({{ var('service_window_hours') }}) hour
            < (select as_of from {{ as_of }}),
            false,
            null
        )
    {%- endset %}
    update {{ this }}
    set is_answered = {{ verdict }}
    where answered_at is null and is_answered is distinct from {{ verdict }}
    {%- endif -%}
{%- endmacro %}
