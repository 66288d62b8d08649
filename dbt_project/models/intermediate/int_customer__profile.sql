-- What a customer last showed of themselves, over all of their nodes.
with

observations as (

    select * from {{ ref('int_identity__observation') }}

),

assignments as (

    select * from {{ ref('int_identity__phone_assignment') }} where node_id is not null

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

identifiers as (

    select * from {{ ref('int_customer__identifier') }}

),

preferences as (

    select * from {{ ref('stg_whatsapp__user_preference') }}
    where category = 'marketing_messages' and preference in ('stop', 'resume')

),

node_profiles as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        arg_max(profile_name, (seen_at, received_at, event_id, profile_name))
            filter (where profile_name is not null) as profile_name,
        max(seen_at) filter (where profile_name is not null) as named_at,
        arg_max(
            phone is not null, (evidence_at, received_at, event_id, phone is not null)
        )
            filter (where direction = 'inbound' and observation_kind in ('message', 'call', 'preference'))
            as is_newest_inbound_with_phone,
        max(evidence_at) filter (where direction = 'inbound' and observation_kind in ('message', 'call', 'preference'))
            as newest_inbound_at,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from observations
    where bsuid is not null
    group by all

),

phone_only_profiles as (

    select
        assignments.portfolio_id,
        assignments.node_id,
        arg_max(
            assignments.profile_name,
            (assignments.seen_at, assignments.event_id, assignments.profile_name)
        )
            filter (where assignments.profile_name is not null) as profile_name,
        max(assignments.seen_at) filter (where assignments.profile_name is not null) as named_at,
        bool_or(true) filter (where assignments.direction = 'inbound')
            as is_newest_inbound_with_phone,
        max(assignments.evidence_at) filter (where assignments.direction = 'inbound')
            as newest_inbound_at,
        min(assignments.seen_at) as first_seen_at,
        max(assignments.seen_at) as last_seen_at
    from assignments
    group by all

),

unioned as (

    select * from node_profiles
    union all
    select * from phone_only_profiles

),

shown as (

    select
        customer_nodes.portfolio_id,
        customer_nodes.customer_key,
        arg_max(unioned.profile_name, (unioned.named_at, unioned.profile_name))
            filter (where unioned.profile_name is not null) as profile_name,
        coalesce(
            arg_max(
                unioned.is_newest_inbound_with_phone,
                (unioned.newest_inbound_at, unioned.is_newest_inbound_with_phone)
            )
                filter (where unioned.newest_inbound_at is not null),
            true
        ) as is_newest_inbound_with_phone,
        min(unioned.first_seen_at) as first_seen_at,
        max(unioned.last_seen_at) as last_seen_at
    from unioned
    inner join customer_nodes
        on unioned.portfolio_id = customer_nodes.portfolio_id
        and unioned.node_id = customer_nodes.node_id
    group by all

),

held as (

    select
        portfolio_id,
        customer_key,
        count(distinct identifier_value) filter (where identifier_type = 'bsuid') as bsuid_count,
        count(distinct identifier_value) filter (where identifier_type = 'username')
            as username_count,
        arg_max(
            identifier_value, (valid_to is null, last_seen_at, valid_from, identifier_value)
        ) filter (where identifier_type = 'bsuid') as current_bsuid,
        arg_max(identifier_value, (last_seen_at, identifier_value))
            filter (where identifier_type = 'parent_bsuid') as parent_bsuid,
        arg_max(identifier_value, (valid_from, identifier_value))
            filter (where identifier_type = 'username' and valid_to is null) as username,
        max(greatest(valid_from, coalesce(valid_to, valid_from))) as last_identity_change_at
    from identifiers
    group by all

),

-- Consent follows succession, because nodes do, and never a phone to its next holder.
choices as (

    select
        customer_nodes.portfolio_id,
        customer_nodes.customer_key,
        arg_max(preferences.preference, (preferences.occurred_at, preferences.event_id)) as preference,
        max(preferences.occurred_at) as chosen_at
    from preferences
    inner join observations
        on preferences.event_id = observations.event_id
        and preferences.waba_id = observations.waba_id
        and observations.observation_kind = 'preference'
    left join assignments
        on observations.portfolio_id = assignments.portfolio_id
        and observations.event_id = assignments.event_id
        and assignments.observation_kind = 'preference'
    inner join customer_nodes
        on observations.portfolio_id = customer_nodes.portfolio_id
        and coalesce({{ bsuid_node('observations.bsuid') }}, assignments.node_id) = customer_nodes.node_id
    group by all

),

final as (

    select
        shown.*,
        coalesce(held.bsuid_count, 0) as bsuid_count,
        coalesce(held.username_count, 0) as username_count,
        held.current_bsuid,
        held.parent_bsuid,
        held.username,
        held.last_identity_change_at,
        coalesce(choices.preference = 'stop', false) as marketing_opt_out,
        case when choices.preference = 'stop' then choices.chosen_at end as marketing_opt_out_at
    from shown
    left join held
        on shown.portfolio_id = held.portfolio_id and shown.customer_key = held.customer_key
    left join choices
        on shown.portfolio_id = choices.portfolio_id and shown.customer_key = choices.customer_key

)

select * from final
