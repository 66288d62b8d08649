-- Every day of the data: what the metrics are laid out on.
with

transition as (

    select * from {{ ref('fct_identity_transition_daily') }}

),

final as (

    select distinct activity_date as date_day
    from transition

)

select * from final
