{{ config(materialized='incremental') }}

-- Items of kinds that are few, apart from the many messages and statuses: who reads one of these kinds
-- does not read them all.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}
    {{- only('load_id > ' ~ last_load_id()) }}

),

final as (

    select *
    from items
    where item_kind = 'other' or (item_kind = 'message' and item_type in ('system', 'contacts'))

)

select * from final
