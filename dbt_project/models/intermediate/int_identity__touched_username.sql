-- Usernames of everybody touched, as seen now and as the last run had them. Empty when the run rebuilds.
with

observations as (

    select * from {{ ref('int_identity__observation') }}
    where username is not null and {{ is_adding() }} and {{ touched('bsuid') }}

),

{% set leases = before_this_run('int_identity__username_lease') -%}
final as (

    select distinct portfolio_id, username from observations
    {%- if leases %}
    union
    select portfolio_id, username from {{ leases }}
    where {{ touched('bsuid') }}
    {%- endif %}

)

select * from final
