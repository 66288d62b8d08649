{#-
    R11: pairs of BSUIDs that a person parted, each both ways, for what must be known before phones are: who held a phone
    when is worked out from it. All other overrides are resolved in int_identity__override.
-#}
{% macro parted_bsuids(overrides, as_of) %}
    select
        portfolio_id,
        bsuid,
        parted_bsuid
    from (
        select
            portfolio_id,
            decision,
            unnest([left_value, right_value]) as bsuid,
            unnest([right_value, left_value]) as parted_bsuid
        from {{ overrides }}
        cross join {{ as_of }}
        where
            left_type = 'bsuid'
            and right_type = 'bsuid'
            and decision in ('must_link', 'cannot_link')
            and coalesce(expires_at > as_of, true)
    )
    group by all
    having bool_and(decision = 'cannot_link')
{% endmacro %}
