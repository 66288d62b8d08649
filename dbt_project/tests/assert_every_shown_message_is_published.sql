-- Invariant 2: no message with an id that this run read is missing from the facts, nor is there one too many.
with

sightings as (

    select * from {{ ref('int_identity__sighting') }}
    where
        message_id is not null
        and observation_kind in ('message', 'echo', 'history', 'status')
        and (observation_kind = 'status' or coalesce(item_type, '') not in ('edit', 'revoke'))

),

facts as (

    select * from {{ ref('fct_message') }}
    {{- of_this_run() }}

),

shown as (

    select distinct portfolio_id, message_id from sightings

),

final as (

    select
        coalesce(shown.message_id, facts.message_id) as message_id,
        shown.message_id is null as is_invented
    from shown
    full outer join facts
        on shown.portfolio_id = facts.portfolio_id and shown.message_id = facts.message_id
    where shown.message_id is null or facts.message_id is null

)

select * from final
