-- R2: a number change cuts both phones; whoever is on them afterwards is somebody new there.
with

changes as (

    select * from {{ ref('int_identity__change') }}

),

final as (

    select portfolio_id, old_phone as phone, changed_at as cut_at
    from changes
    where old_phone is not null and (new_phone is not null or new_bsuid is not null)
    union
    select portfolio_id, new_phone as phone, changed_at as cut_at
    from changes
    where new_phone is not null

)

select * from final
