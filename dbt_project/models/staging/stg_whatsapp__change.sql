{{ config(materialized='view') }}

with

items as (

    select * from {{ ref('stg_whatsapp__item') }}

),

final as (

    select
        load_id,
        landing_file,
        line_number,
        'entry[' || entry_index || '].changes[' || change_index || '].value' as json_path,
        waba_id,
        phone_number_id,
        display_phone_number,
        source_field,
        received_at
    from items
    where opens_change

)

select * from final
