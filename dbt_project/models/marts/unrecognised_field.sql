-- What was landed and no model reads, over all loads.
with

unrecognised as (

    select * from {{ ref('stg_whatsapp__unrecognised') }} where kind <> 'load'

),

final as (

    select
        kind,
        path,
        kind = 'field' and regexp_full_match(
            path,
            'security|flows|account_(alerts|settings_update|review_update)|message_template_.*_update|'
            || 'phone_number_.*_update|business_.*_update|business_username_updates?|template_category_update|'
            || 'group_.*_update|messaging_handovers|partner_solutions|payment_configuration_update|'
            || 'tracking_events|user_preferences|business_status_update|history'
        ) as is_documented,
        sum(occurrences)::bigint as occurrences,
        min(first_received_at) as first_seen_at,
        max(last_received_at) as last_seen_at,
        min(example_landing_file) as example_landing_file,
        arg_min(example_line_number, (example_landing_file, example_line_number)) as example_line_number
    from unrecognised
    group by kind, path

)

select * from final
