{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- Who was on a phone from when to when: a BSUID that claimed it, or a stretch of phone-only history. Whoever asks
-- "who was on this phone then" asks here.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

stays as (

    select
        portfolio_id,
        phone,
        {{ bsuid_node('bsuid') }} as node_id,
        false as is_segment,
        valid_from as stays_from,
        valid_to as stays_to
    from claims
    union all
    select
        portfolio_id,
        phone,
        node_id,
        true as is_segment,
        opened_at as stays_from,
        valid_to as stays_to
    from segments

),

final as (

    select
        islands.island_id,
        stays.portfolio_id,
        stays.phone,
        stays.node_id,
        stays.is_segment,
        stays.stays_from,
        stays.stays_to
    from stays
    inner join islands
        on {{ identifier_key('stays.portfolio_id', 'stays.phone') }} = islands.identifier_key

)

select * from final
