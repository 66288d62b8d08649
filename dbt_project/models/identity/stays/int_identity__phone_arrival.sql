-- Who told to have come to a phone: what fails there before anybody is seen on it was meant for them.
with

changes as (

    select * from {{ ref('int_identity__change_side') }}

),

final as (

    select
        portfolio_id,
        new_phone as phone,
        changed_at as gap_from,
        min(coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id)) as node_id
    from changes
    where new_phone is not null
    group by all
    having count(distinct coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id)) = 1

)

select * from final
