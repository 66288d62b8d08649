-- Messages of everybody touched, and whatever was landed of any message. Empty when the run rebuilds.
with

items as (

    select * from {{ ref('stg_whatsapp__touched_item') }}

),

differences as (

    select * from {{ ref('int_identity__difference') }} where message_id is not null

),

observations as (

    select * from {{ ref('int_identity__observation') }}
    where message_id is not null and {{ is_adding() }} and {{ touched('bsuid') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null and {{ is_adding() }} and {{ touched('phone') }}

),

final as (

    select item_id as message_id from items
    union
    select message_id from differences
    union
    select message_id from observations
    union
    select message_id from assignments

)

select * from final
