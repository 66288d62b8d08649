-- Section 6: who holds a phone from when.
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

final as (

    select
        portfolio_id,
        phone,
        bsuid,
        valid_from,
        valid_to,
        coalesce(
            lead(valid_from) over (partition by portfolio_id, phone order by valid_from),
            {{ end_of_time() }}
        ) as followed_at,
        -- between the last sighting of one holder and the first of the next, nobody knows
        case
            when next_bsuid <> bsuid and close_reason in ('other_bsuid', 'other_phone')
                then last_paired_at
        end as uncertain_after
    from claims

)

select * from final
