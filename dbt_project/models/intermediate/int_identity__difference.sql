-- What this run reads otherwise than the last: rows that came or went. Empty when the run rebuilds.
-- An override always counts: it may expire with time alone.
with

outdated as (

    select * from {{ ref('int_identity__outdated') }}

),

reread as (

    {{ identifying_rows(ref('int_identity__observation'), ref('int_identity__change'), none) }}

),

decided as (

    select
        portfolio_id,
        unnest([left_value, right_value]) as bsuid
    from {{ ref('identity_overrides') }}
    where {{ is_adding() }}

),

came as (

    select * from reread
    except all
    select * from outdated

),

went as (

    select * from outdated
    except all
    select * from reread

),

final as (

    select portfolio_id, event_id, message_id, bsuid, phone from came
    union all
    select portfolio_id, event_id, message_id, bsuid, phone from went
    union all
    select portfolio_id, null as event_id, null as message_id, bsuid, null as phone from decided

)

select * from final
