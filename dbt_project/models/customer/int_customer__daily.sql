{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- What changed for an island's customers, day by day: a state counts from the day it begins to the day it ends.
with

history as (

    select * from {{ ref('int_customer__history') }}

),

visibility as (

    select * from {{ ref('int_customer__phone_visibility') }}

),

risks as (

    select * from {{ ref('int_customer__at_risk') }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

missed as (

    select * from {{ ref('int_identity__missed_rotation') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

states as (

    select
        island_id,
        portfolio_id,
        unnest([valid_from, valid_to]) as turned_at,
        unnest([1, -1]) as difference,
        identity_stage,
        username is not null as has_username
    from history

),

risk_states as (

    select
        island_id,
        portfolio_id,
        unnest([valid_from, valid_to]) as turned_at,
        unnest([1, -1]) as difference
    from risks

),

visibility_states as (

    select
        island_id,
        portfolio_id,
        unnest([valid_from, valid_to]) as turned_at,
        unnest([1, -1]) as difference,
        is_phone_shown
    from visibility

),

missed_in_island as (

    select
        customer_nodes.island_id,
        missed.portfolio_id,
        missed.moved_at
    from missed
    inner join customer_nodes
        on missed.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('missed.old_bsuid') }} = customer_nodes.node_id

),

unioned as (

    select
        island_id,
        portfolio_id,
        turned_at,
        difference * cast(identity_stage = 'phone_only' as integer) as phone_only,
        difference * cast(identity_stage = 'linked' as integer) as linked,
        difference * cast(identity_stage = 'bsuid_only' as integer) as bsuid_only,
        difference * cast(has_username as integer) as with_username
    from states
    union all by name
    select island_id, portfolio_id, turned_at, difference as at_risk from risk_states
    union all by name
    select
        island_id,
        portfolio_id,
        turned_at,
        difference * cast(is_phone_shown as integer) as phone_visible,
        difference * cast(not is_phone_shown as integer) as phone_hidden
    from visibility_states
    union all by name
    select island_id, portfolio_id, changed_at as turned_at, 1 as rotations from changes
    union all by name
    select island_id, portfolio_id, moved_at as turned_at, 1 as possible_missed_rotations
    from missed_in_island

),

final as (

    select
        island_id,
        portfolio_id,
        cast(turned_at as date) as activity_date,
        coalesce(sum(phone_only), 0) as phone_only,
        coalesce(sum(linked), 0) as linked,
        coalesce(sum(bsuid_only), 0) as bsuid_only,
        coalesce(sum(with_username), 0) as with_username,
        coalesce(sum(at_risk), 0) as at_risk,
        coalesce(sum(phone_visible), 0) as phone_visible,
        coalesce(sum(phone_hidden), 0) as phone_hidden,
        coalesce(sum(rotations), 0) as rotations,
        coalesce(sum(possible_missed_rotations), 0) as possible_missed_rotations
    from unioned
    where turned_at is not null
    group by island_id, portfolio_id, cast(turned_at as date)

)

select * from final
