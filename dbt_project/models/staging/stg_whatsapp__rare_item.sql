{{ config(materialized='incremental') }}

-- Items of kinds that are few, apart from the many messages and statuses: who reads one of these kinds
-- does not read them all.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}
    {{- landed_since() }}

),

final as (

    select *
    from items
    where
        item_kind in ('echo', 'other')
        or (item_kind = 'message' and item_type in ('system', 'contacts'))
        or (item_kind = 'status' and (source_field = 'calls' or status_type = 'call'))

)

select * from final
