-- Messages that were landed, seen or assigned otherwise than before this run. Empty when the run rebuilds.
with

items as (

    select * from {{ ref('stg_whatsapp__touched_item') }}

),

differences as (

    select * from {{ ref('int_identity__difference') }} where message_id is not null

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }}
    where message_id is not null and {{ is_adding() }}

),

reassigned_phones as (

    select * from {{ ref('int_identity__reassigned_phone') }}

),

final as (

    select item_id as message_id from items
    union
    select message_id from differences
    union
    select assignments.message_id
    from assignments
    inner join reassigned_phones
        on assignments.portfolio_id = reassigned_phones.portfolio_id
        and assignments.shown_phone = reassigned_phones.phone

)

select * from final
