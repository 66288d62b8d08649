{#-
    What a run works out again.

    A run that follows a complete one adds: it reads what was landed since and writes again only what that touches.
    Every other run rebuilds: the first one, one after a run that did not finish, one after models, variables or
    reference data changed, and one with --full-refresh. Both give the same rows (tests/properties proves it).
    `build_state` in schema main remembers how the last run went.
-#}

{#- Overrides dbt's own: incremental models start afresh unless this run only adds. -#}
{% macro should_full_refresh() -%}
    {{ return(dbt.should_full_refresh() or not is_adding()) }}
{%- endmacro %}

{#- Whether this run follows a complete one. -#}
{% macro is_adding() -%}
    {%- if flags.FULL_REFRESH or model.config.materialized == 'unit' -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(build_state('status') == 'adding') }}
{%- endmacro %}

{#- A remembered value; none when there is no such memory, and where nothing is built. -#}
{% macro build_state(name) -%}
    {%- if not execute or flags.WHICH not in ('run', 'build') -%}{{ return(none) }}{%- endif -%}
    {%- set found = run_query("select value from main.build_state where name = '" ~ name ~ "'") -%}
    {{ return(found.columns[0].values()[0] if found.rows else none) }}
{%- endmacro %}

{#- SQL that remembers values. -#}
{% macro remember(values) -%}
    {%- for name, value in values.items() %}
    delete from main.build_state where name = '{{ name }}';
    insert into main.build_state values ('{{ name }}', '{{ value }}');
    {%- endfor %}
{%- endmacro %}

{#- All that decides how a row comes about. Macros are known only to a run of the pipeline: with bare dbt,
    change one and say --full-refresh. -#}
{% macro project_fingerprint() -%}
    {%- set parts = [dbt_version, env_var('DBT_MACROS_DIGEST', '')] -%}
    {%- for node in graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') -%}
        {%- do parts.append(node.checksum.checksum) -%}
    {%- endfor -%}
    {%- for name in [
        'as_of', 'backfill_max_silence_days', 'number_rest_min_days', 'rotation_copy_window_days', 'service_window_hours',
    ] -%}
        {%- do parts.append(var(name)) -%}
    {%- endfor -%}
    {{ return(local_md5(parts | map('string') | sort | join(','))) }}
{%- endmacro %}

{#- Whether this invocation builds every incremental model. -#}
{% macro builds_everything() -%}
    {%- if not execute or flags.WHICH not in ('run', 'build') -%}{{ return(false) }}{%- endif -%}
    {%- for node in graph.nodes.values() | selectattr('config.materialized', 'equalto', 'incremental') -%}
        {%- if node.unique_id not in selected_resources -%}{{ return(false) }}{%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}

{#- on-run-start: from here until the end the last run counts as unfinished; after one that builds only some models,
    until one rebuilds. -#}
{% macro begin_build() -%}
    {%- if builds_everything() -%}
        {%- set follows = not flags.FULL_REFRESH
            and build_state('status') == 'complete'
            and build_state('fingerprint') == project_fingerprint() -%}
        {{ remember({
            'status': 'adding' if follows else 'rebuilding',
            'fingerprint': project_fingerprint(),
        }) }}
    {%- elif execute and flags.WHICH in ('run', 'build') -%}
        {{ remember({'status': 'partial'}) }}
    {%- endif -%}
{%- endmacro %}

{#- on-run-end: everything was built and every test passed. -#}
{% macro end_build(results) -%}
    {%- if builds_everything()
        and results | rejectattr('status', 'in', ['success', 'pass', 'warn', 'no-op']) | list | length == 0 -%}
        {%- set newest = run_query('select coalesce(max(load_id), 0) from raw.webhook') -%}
        {{ remember({
            'load_id': newest.columns[0].values()[0],
            'mode': build_state('status'),
            'status': 'complete',
        }) }}
    {%- endif -%}
{%- endmacro %}

{#- post-hook of reference data that decides about every event: with another content the run rebuilds. -#}
{% macro rebuild_if_changed() -%}
    {%- if build_state('status') is not none -%}
        {%- set found = run_query(
            "select md5(coalesce(string_agg(t::varchar, ',' order by t::varchar), '')) from " ~ this ~ " as t"
        ) -%}
        {%- set content = found.columns[0].values()[0] -%}
        {%- if content != build_state(this.name) -%}
            {{ remember({this.name: content, 'status': 'rebuilding'}) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- The last load that a complete run has worked out. -#}
{% macro last_load_id() -%}
    {{ return(build_state('load_id') or 0) }}
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
