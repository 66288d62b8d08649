{{ config(materialized='incremental', pre_hook="{{ forget_touched_islands() }}") }}

-- Everything the rules leave to a person, one row per question.
with

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

holder_changes as (

    select * from {{ ref('int_identity__holder_change') }}

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

successions as (

    select * from {{ ref('int_identity__succession') }}

),

backfills as (

    select * from {{ ref('int_identity__backfill') }}

),

missed_rotations as (

    select * from {{ ref('int_identity__missed_rotation') }}

),

attested as (

    select * from {{ ref('int_identity__attested_phone') }}

),

overrides as (

    select * from {{ ref('int_identity__override') }}

),

clusters as (

    select * from {{ ref('int_identity__cluster') }}

),

phone_two_bsuids as (

    select
        portfolio_id,
        if(has_come_back and opened_by = 'message', 'flapping_phone', 'phone_two_bsuids') as kind,
        'bsuid' as left_type,
        lost_by_bsuid as left_value,
        'bsuid' as right_type,
        taken_by_bsuid as right_value,
        phone as subject,
        evidence_event_id,
        last_paired_at as first_seen_at,
        taken_at as last_seen_at,
        if(has_come_back and opened_by = 'message', 0.6, 0.3) as score
    from holder_changes

),

bsuid_two_phones as (

    select
        portfolio_id,
        'bsuid_two_phones' as kind,
        'bsuid' as left_type,
        bsuid as left_value,
        'phone' as right_type,
        phone as right_value,
        phone as subject,
        evidence_event_id,
        valid_from as first_seen_at,
        valid_to as last_seen_at,
        0.2 as score
    from claims
    where close_reason = 'other_phone'

),

succession_fork as (

    select
        portfolio_id,
        'succession_fork' as kind,
        split_part(left_node_id, ':', 1) as left_type,
        substr(left_node_id, strpos(left_node_id, ':') + 1) as left_value,
        split_part(right_node_id, ':', 1) as right_type,
        substr(right_node_id, strpos(right_node_id, ':') + 1) as right_value,
        strength as subject,
        evidence_event_id,
        linked_at as first_seen_at,
        linked_at as last_seen_at,
        0.5 as score
    from successions
    where decision = 'ambiguous'

),

kept_successions as (

    select * from successions where decision = 'kept'

),

chains as (

    {{ connected_components('kept_successions', ['portfolio_id'], 'left_node_id', 'right_node_id') }}

),

-- Kept edges leave a node once, so where as many are kept as there are nodes they go round in a ring.
rings as (

    select
        chains.portfolio_id,
        chains.label_id
    from chains
    left join kept_successions
        on chains.portfolio_id = kept_successions.portfolio_id
        and chains.node_id = kept_successions.left_node_id
    group by all
    having count(*) = count(kept_successions.right_node_id)

),

succession_cycle as (

    select
        kept_successions.portfolio_id,
        'succession_cycle' as kind,
        split_part(kept_successions.left_node_id, ':', 1) as left_type,
        substr(kept_successions.left_node_id, strpos(kept_successions.left_node_id, ':') + 1)
            as left_value,
        split_part(kept_successions.right_node_id, ':', 1) as right_type,
        substr(kept_successions.right_node_id, strpos(kept_successions.right_node_id, ':') + 1)
            as right_value,
        kept_successions.strength as subject,
        kept_successions.evidence_event_id,
        kept_successions.linked_at as first_seen_at,
        kept_successions.linked_at as last_seen_at,
        0.4 as score
    from rings
    inner join kept_successions
        on rings.portfolio_id = kept_successions.portfolio_id
        and rings.label_id = kept_successions.left_node_id

),

backfill_declined as (

    select
        portfolio_id,
        'backfill_declined' as kind,
        'phone' as left_type,
        substr(segment_node_id, 7) as left_value,
        'bsuid' as right_type,
        bsuid as right_value,
        decision as subject,
        evidence_event_id,
        paired_at as first_seen_at,
        paired_at as last_seen_at,
        if(decision = 'silent_and_renamed', 0.5, 0.2) as score
    from backfills
    where decision not in ('adopted', 'number_changed')

),

possible_missed_rotation as (

    select
        portfolio_id,
        'possible_missed_rotation' as kind,
        'bsuid' as left_type,
        old_bsuid as left_value,
        'bsuid' as right_type,
        new_bsuid as right_value,
        username as subject,
        evidence_event_id,
        moved_at as first_seen_at,
        moved_at as last_seen_at,
        0.8 as score
    from missed_rotations

),

attested_phone_taken as (

    select
        portfolio_id,
        'attested_phone_taken' as kind,
        'bsuid' as left_type,
        bsuid as left_value,
        'bsuid' as right_type,
        taken_by_bsuid as right_value,
        phone as subject,
        event_id as evidence_event_id,
        evidence_at as first_seen_at,
        evidence_at as last_seen_at,
        0.5 as score
    from attested
    where is_void

),

-- A cut is a problem when there was no such link, or when another path still joins both ends.
judged_overrides as (

    select
        overrides.*,
        case
            when overrides.problem is not null then overrides.problem
            when overrides.decision = 'cannot_link' and left_cluster.label_id = right_cluster.label_id
                then 'still_joined_otherwise'
            when overrides.decision = 'cannot_link' and inferred.left_node_id is null
                then 'no_such_link'
        end as final_problem
    from overrides
    left join clusters as left_cluster
        on overrides.portfolio_id = left_cluster.portfolio_id
        and overrides.left_node_id = left_cluster.node_id
    left join clusters as right_cluster
        on overrides.portfolio_id = right_cluster.portfolio_id
        and overrides.right_node_id = right_cluster.node_id
    left join (
        select portfolio_id, left_node_id, right_node_id from successions where decision = 'kept'
        union all
        select portfolio_id, segment_node_id as left_node_id, bsuid_node_id as right_node_id
        from backfills where decision = 'adopted'
    ) as inferred
        on overrides.portfolio_id = inferred.portfolio_id
        and least(overrides.left_node_id, overrides.right_node_id)
        = least(inferred.left_node_id, inferred.right_node_id)
        and greatest(overrides.left_node_id, overrides.right_node_id)
        = greatest(inferred.left_node_id, inferred.right_node_id)

),

override_problem as (

    select
        portfolio_id,
        'override_problem' as kind,
        left_type,
        left_value,
        right_type,
        right_value,
        final_problem as subject,
        'override:' || override_id as evidence_event_id,
        decided_at as first_seen_at,
        decided_at as last_seen_at,
        1.0 as score
    from judged_overrides
    where final_problem is not null

),

unioned as (

    select * from phone_two_bsuids
    union all
    select * from bsuid_two_phones
    union all
    select * from succession_fork
    union all
    select * from succession_cycle
    union all
    select * from backfill_declined
    union all
    select * from possible_missed_rotation
    union all
    select * from attested_phone_taken
    union all
    select * from override_problem

),

-- A pair a person has decided on is no question any more.
undecided as (

    select
        unioned.portfolio_id,
        unioned.kind,
        unioned.left_type,
        if(unioned.left_type = 'phone', split_part(unioned.left_value, '@', 1), unioned.left_value)
            as left_value,
        if(unioned.left_type = 'phone', nullif(split_part(unioned.left_value, '@', 2), ''), null)::timestamp
            as left_at,
        unioned.right_type,
        if(unioned.right_type = 'phone', split_part(unioned.right_value, '@', 1), unioned.right_value)
            as right_value,
        if(unioned.right_type = 'phone', nullif(split_part(unioned.right_value, '@', 2), ''), null)::timestamp
            as right_at,
        unioned.subject,
        min(unioned.evidence_event_id) as evidence_event_id,
        min(unioned.first_seen_at) as first_seen_at,
        max(unioned.last_seen_at) as last_seen_at,
        max(unioned.score) as score,
        count(*) as occurrence_count
    from unioned
    left join overrides
        on unioned.portfolio_id = overrides.portfolio_id
        and unioned.kind <> 'override_problem'
        and overrides.problem is null
        and unioned.left_type in ('bsuid', 'phone')
        and unioned.right_type in ('bsuid', 'phone')
        and (unioned.left_type || ':' || unioned.left_value)
        in (overrides.left_node_id, overrides.right_node_id)
        and (unioned.right_type || ':' || unioned.right_value)
        in (overrides.left_node_id, overrides.right_node_id)
    where overrides.override_id is null
    group by all

),

final as (

    select
        islands.island_id,
        undecided.*
    from undecided
    inner join islands
        on {{ identifier_key('undecided.portfolio_id', 'coalesce(undecided.left_value, undecided.right_value)') }}
        = islands.identifier_key

)

select * from final
