-- No model asks the clock: "now" is the newest receipt in the deduplicated data, or the var.
with

activity as (

    select * from {{ ref('int_identity__activity') }}

),

final as (

    select
        coalesce(
            {% if var('as_of') %}timestamp '{{ var("as_of") }}'{% else %}null{% endif %},
            max(newest_received_at),
            timestamp '1970-01-01'
        ) as as_of
    from activity

)

select * from final
