{#- Within a partition no two half-open intervals [from, to) overlap, and none is empty or turned
    round. An open end is null. -#}
{% test mutually_exclusive_ranges(model, lower_bound, upper_bound, partition_by) %}

with

ranges as (

    select
        {{ partition_by | join(', ') if partition_by is not string else partition_by }},
        {{ lower_bound }} as range_from,
        {{ upper_bound }} as range_to,
        lead({{ lower_bound }}) over (
            partition by
                {{ partition_by | join(', ') if partition_by is not string else partition_by }}
            order by {{ lower_bound }}, coalesce({{ upper_bound }}, {{ end_of_time() }})
        ) as next_from
    from {{ model }}

),

final as (

    select *
    from ranges
    where
        range_from is null
        or range_to <= range_from
        or coalesce(range_to, {{ end_of_time() }}) > next_from

)

select * from final

{% endtest %}
