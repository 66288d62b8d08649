{#-
    What a run works out again.

    A run that follows a complete one adds: it reads what was landed since and writes again only what that touches.
    Every other run rebuilds, by dbt's own --full-refresh: orchestration/mode.py decides before dbt starts.
-#}

{#- Whether this run adds. -#}
{% macro is_adding() -%}
    {{ return(execute and not flags.FULL_REFRESH and flags.WHICH in ('run', 'build') and model.config.materialized != 'unit') }}
{%- endmacro %}

{#- The last load that a complete run has worked out. -#}
{% macro last_load_id() -%}
    {%- if not is_adding() -%}{{ return(0) }}{%- endif -%}
    {%- set found = run_query('select coalesce(max(load_id), 0) from main.complete_run') -%}
    {{ return(found.columns[0].values()[0]) }}
{%- endmacro %}

{#- Of an import, only the rows that this run works out again. -#}
{% macro only(condition, word='where') -%}
    {%- if is_adding() and is_incremental() %}
    {{ word }} {{ condition }}
    {%- endif -%}
{%- endmacro %}

{#- pre-hook: what this run works out again goes first. Columns that models further on compare with what they become
    (`differing`) are kept until the next run. -#}
{% macro forget(condition, keep=none) -%}
    {%- if is_adding() and is_incremental() -%}
    {%- if keep %}
    create or replace table {{ former(this.identifier) }} as
    select distinct {{ keep }} from {{ this }} where {{ condition }};
    {%- endif %}
    delete from {{ this }} where {{ condition }}
    {%- endif -%}
{%- endmacro %}

{#- What `forget` kept of a model: what the last run said of all that this run works out again. -#}
{% macro former(model_name) -%}
    {{ return(api.Relation.create(database=target.database, schema='former', identifier=model_name)) }}
{%- endmacro %}

{#- Of whom a model says something else than the last run did, by the columns it keeps. `condition` is that of its
    `forget`. Empty when this run rebuilds. -#}
{% macro differing(model_name, subject, condition='true') -%}
    {%- if is_adding() %}
    {%- set kept = adapter.get_columns_in_relation(former(model_name)) | map(attribute='name') | join(', ') %}
    select distinct {{ subject }}
    from (
        (
            select {{ kept }} from {{ ref(model_name) }} where {{ condition }}
            except
            select {{ kept }} from {{ former(model_name) }}
        )
        union all
        (
            select {{ kept }} from {{ former(model_name) }}
            except
            select {{ kept }} from {{ ref(model_name) }} where {{ condition }}
        )
    )
    {%- else %}
    select {{ subject }} from {{ ref(model_name) }} where false
    {%- endif %}
{%- endmacro %}

{#- What a model says and what it said, of all that this run works out again. Empty when this run rebuilds. -#}
{% macro now_and_before(model_name, columns) -%}
    {%- if is_adding() %}
    select {{ columns }} from {{ ref(model_name) }}
    union
    select {{ columns }} from {{ former(model_name) }}
    {%- else %}
    select {{ columns }} from {{ ref(model_name) }} where false
    {%- endif %}
{%- endmacro %}

{#- A ref to a model that only says what is new: unit tests, which never add, need not give its rows. -#}
{% macro beside(model_name) -%}
    {%- if model.config.materialized != 'unit' -%}{{ ref(model_name) }}{%- endif -%}
{%- endmacro %}

{#- Ids that a model lists. -#}
{% macro ids_of(model_name, column='message_id') -%}
    (select {{ column }} from {{ beside(model_name) }})
{%- endmacro %}

{#- Ids that items landed since bear or refer to. -#}
{% macro touched_items() -%}
    {{ return(ids_of('stg_whatsapp__touched_item', 'item_id')) }}
{%- endmacro %}

{#- Of an import, rows of some ids, and those without an id, which are always read again. Two selects: asked with
    `or`, DuckDB reads every column of every row. -#}
{% macro only_ids(model_name, column, ids) -%}
    {%- if is_adding() and is_incremental() %}
    where {{ column }} in {{ ids }}
    union all
    select * from {{ ref(model_name) }} where {{ column }} is null
    {%- endif %}
{%- endmacro %}

{#- Identifiers of people whom something landed since may concern. -#}
{% macro touched(identifier) -%}
    (portfolio_id, {{ identifier }}) in (
        select portfolio_id, identifier_value from {{ beside('int_identity__touched') }}
    )
{%- endmacro %}

{#- Sightings of phones whose place this run works out again: new ones, and all on phones that others held, or that
    other stretches lie on, than before. -#}
{% macro moved(phone, phones) -%}
    (
        (portfolio_id, {{ phone }}) in (select portfolio_id, phone from {{ beside(phones) }})
        or (portfolio_id, event_id) in (select portfolio_id, event_id from {{ beside('int_identity__difference') }})
    )
{%- endmacro %}

{#- Customers whose identity or sightings this run worked out again. -#}
{% macro touched_customer() -%}
    customer_key in (select customer_key from {{ beside('int_customer__touched') }})
{%- endmacro %}

{#- Usernames that people touched by this run wear or wore. -#}
{% macro touched_username() -%}
    (portfolio_id, username) in (
        select portfolio_id, username from {{ beside('int_identity__touched_username') }}
    )
{%- endmacro %}

{#- Customers of messages that this run wrote again, and those with a thread that waited for an answer. -#}
{% macro threads_anew(threads) -%}
    customer_key in (
        select customer_key from {{ former('fct_message') }}
        union
        select customer_key from {{ ref('fct_message') }}
        where message_id in {{ ids_of('int_identity__rekeyed_message') }}
        union
        select customer_key from {{ threads }}
    )
{%- endmacro %}

{#- A model of this layer as the last run left it; none when this run rebuilds. -#}
{% macro before_this_run(model_name) -%}
    {%- if is_adding() -%}
        {{ return(adapter.get_relation(this.database, this.schema, model_name)) }}
    {%- endif -%}
{%- endmacro %}

{#- A number made of all columns of a row. -#}
{% macro row_hash(relation) -%}
    {{ return(adapter.dispatch('row_hash')(relation)) }}
{%- endmacro %}

{% macro duckdb__row_hash(relation) -%}
    hash({{ relation }})
{%- endmacro %}

{#-
    Identifiers with a hash of the row they stand in: of the observations that are read again, of changes, which show
    phones that no observation does, and of overrides, which join what nothing else does. A relation that is none has
    no rows.
-#}
{% macro identifying_rows(observations, changes, overrides) -%}
    {%- if observations %}
    select portfolio_id, event_id, message_id, bsuid, phone, {{ row_hash('observations') }} as row_hash
    from {{ observations }} as observations
    where {{ is_adding() }} and is_few
    union all
    select portfolio_id, event_id, message_id, bsuid, phone, {{ row_hash('observations') }} as row_hash
    from {{ observations }} as observations
    where {{ is_adding() }} and not is_few and message_id in {{ touched_items() }}
    union all
    {%- endif %}
    {%- if changes %}
    select
        portfolio_id,
        null as event_id,
        null as message_id,
        unnest([old_bsuid, body_old_bsuid, new_bsuid]) as bsuid,
        unnest([old_phone, new_phone]) as phone,
        {{ row_hash('changes') }} as row_hash
    from {{ changes }} as changes
    where {{ is_adding() }}
    union all
    {%- endif %}
    {%- if overrides %}
    select
        portfolio_id,
        null as event_id,
        null as message_id,
        unnest([left_value, right_value]) as bsuid,
        null as phone,
        {{ row_hash('overrides') }} as row_hash
    from {{ overrides }} as overrides
    where {{ is_adding() }}
    union all
    {%- endif %}
    select
        null::varchar as portfolio_id,
        null::varchar as event_id,
        null::varchar as message_id,
        null::varchar as bsuid,
        null::varchar as phone,
        null::ubigint as row_hash
    where false
{%- endmacro %}
