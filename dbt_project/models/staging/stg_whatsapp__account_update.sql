{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__rare_item') }}

),

parsed as (

    select
        *,
        {{ json_read('detail', {
            'event': 'text',
            'waba_info': {'waba_id': 'text', 'owner_business_id': 'text'},
        }) }} as value
    from items
    where item_kind = 'other' and source_field = 'account_update'

),

final as (

    select
        {{ item_columns([
            'occurred_at',
            'value.event',
            'value.waba_info.waba_id',
            'value.waba_info.owner_business_id',
        ]) }},
        {{ blank_to_null('value.event') }} as account_event,
        {{ blank_to_null('value.waba_info.waba_id') }} as updated_waba_id,
        {{ blank_to_null('value.waba_info.owner_business_id') }} as owner_business_id
    from parsed

)

select * from final
