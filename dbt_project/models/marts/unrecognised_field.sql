-- What was landed and no model reads, over all loads.
with

unrecognised as (

    select * from {{ ref('stg_whatsapp__unrecognised') }} where kind <> 'load'

),

final as (

    select
        kind,
        path,
        bool_or(is_documented) as is_documented,
        sum(occurrences)::bigint as occurrences,
        min(first_received_at) as first_seen_at,
        max(last_received_at) as last_seen_at,
        min(example_landing_file) as example_landing_file,
        arg_min(example_line_number, (example_landing_file, example_line_number)) as example_line_number
    from unrecognised
    group by kind, path

)

select * from final
