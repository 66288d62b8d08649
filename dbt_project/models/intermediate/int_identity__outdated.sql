-- What the last run knew of all that this run reads again. Empty when the run rebuilds.
-- depends_on: {{ ref('stg_whatsapp__touched_item') }}
with

final as (

    {{ identifying_rows(
        before_this_run('int_identity__observation'),
        before_this_run('int_identity__change'),
        before_this_run('int_identity__override'),
    ) }}

)

select * from final
