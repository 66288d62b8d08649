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

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

-- What a person calls a node: its kind, its identifier and, of a phone, from when.
nodes as (

    select
        customer_nodes.portfolio_id,
        customer_nodes.node_id,
        customer_nodes.node_kind,
        customer_nodes.identifier_value,
        segments.opened_at
    from customer_nodes
    left join segments
        on customer_nodes.portfolio_id = segments.portfolio_id
        and customer_nodes.node_id = segments.node_id

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
    union all
    select
        portfolio_id,
        'bsuid_two_phones' as kind,
        'bsuid' as left_type,
        bsuid as left_value,
        'phone' as right_type,
        phone_at_once as right_value,
        phone_at_once as subject,
        evidence_event_id,
        valid_from as first_seen_at,
        valid_from as last_seen_at,
        0.2 as score
    from claims
    where phone_at_once is not null

),

-- Edges of R2 that are left to a person, those that come back to where they left, and those that only a text tells of.
successions_to_judge as (

    select
        portfolio_id,
        case decision
            when 'ambiguous' then 'succession_fork'
            when 'late' then 'late_succession'
        end as kind,
        left_node_id,
        right_node_id,
        strength as subject,
        evidence_event_id,
        linked_at,
        if(decision = 'late', 0.4, 0.5) as score
    from successions
    where decision in ('ambiguous', 'late')
    union all
    select
        portfolio_id,
        'succession_cycle' as kind,
        left_node_id,
        right_node_id,
        strength as subject,
        evidence_event_id,
        linked_at,
        0.4 as score
    from successions
    where decision = 'kept' and is_return
    union all
    select
        portfolio_id,
        'body_text_only' as kind,
        left_node_id,
        right_node_id,
        strength as subject,
        evidence_event_id,
        linked_at,
        0.6 as score
    from successions
    where decision = 'kept' and strength = 'body_text'

),

succession_questions as (

    select
        edges.portfolio_id,
        edges.kind,
        left_nodes.node_kind as left_type,
        left_nodes.identifier_value as left_value,
        left_nodes.opened_at as left_at,
        right_nodes.node_kind as right_type,
        right_nodes.identifier_value as right_value,
        right_nodes.opened_at as right_at,
        edges.subject,
        edges.evidence_event_id,
        edges.linked_at as first_seen_at,
        edges.linked_at as last_seen_at,
        edges.score
    from successions_to_judge as edges
    inner join nodes as left_nodes
        on edges.portfolio_id = left_nodes.portfolio_id and edges.left_node_id = left_nodes.node_id
    inner join nodes as right_nodes
        on edges.portfolio_id = right_nodes.portfolio_id and edges.right_node_id = right_nodes.node_id

),

backfill_declined as (

    select
        backfills.portfolio_id,
        'backfill_declined' as kind,
        'phone' as left_type,
        backfills.phone as left_value,
        segments.opened_at as left_at,
        'bsuid' as right_type,
        backfills.bsuid as right_value,
        backfills.decision as subject,
        backfills.evidence_event_id,
        backfills.paired_at as first_seen_at,
        backfills.paired_at as last_seen_at,
        -- as often as the two are one person in simulated worlds (docs/accuracy.md)
        case backfills.decision
            when 'silent' then 0.9
            when 'silent_and_renamed' then 0.5
            else 0.2
        end as score
    from backfills
    inner join segments
        on backfills.portfolio_id = segments.portfolio_id
        and backfills.segment_node_id = segments.node_id
    where backfills.decision not in ('adopted', 'cut', 'number_changed')

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
            when overrides.decision = 'cannot_link' and left_side.customer_key = right_side.customer_key
                then 'still_joined_otherwise'
            when overrides.decision = 'cannot_link' and inferred.left_node_id is null
                then 'no_such_link'
        end as final_problem
    from overrides
    left join customer_nodes as left_side
        on overrides.portfolio_id = left_side.portfolio_id
        and overrides.left_node_id = left_side.node_id
    left join customer_nodes as right_side
        on overrides.portfolio_id = right_side.portfolio_id
        and overrides.right_node_id = right_side.node_id
    left join (
        select portfolio_id, left_node_id, right_node_id from successions where decision = 'cut'
        union all
        select portfolio_id, segment_node_id as left_node_id, bsuid_node_id as right_node_id
        from backfills where decision = 'cut'
    ) as inferred
        on overrides.portfolio_id = inferred.portfolio_id
        and least(overrides.left_node_id, overrides.right_node_id)
        = least(inferred.left_node_id, inferred.right_node_id)
        and greatest(overrides.left_node_id, overrides.right_node_id)
        = greatest(inferred.left_node_id, inferred.right_node_id)

),

questions as (

    select * from phone_two_bsuids
    union all by name
    select * from bsuid_two_phones
    union all by name
    select * from succession_questions
    union all by name
    select * from backfill_declined
    union all by name
    select * from possible_missed_rotation
    union all by name
    select * from attested_phone_taken

),

asked as (

    select
        questions.*,
        least(left_nodes.node_id, right_nodes.node_id) as low_node_id,
        greatest(left_nodes.node_id, right_nodes.node_id) as high_node_id
    from questions
    left join nodes as left_nodes
        on questions.portfolio_id = left_nodes.portfolio_id
        and questions.left_type = left_nodes.node_kind
        and questions.left_value = left_nodes.identifier_value
        and questions.left_at is not distinct from left_nodes.opened_at
    left join nodes as right_nodes
        on questions.portfolio_id = right_nodes.portfolio_id
        and questions.right_type = right_nodes.node_kind
        and questions.right_value = right_nodes.identifier_value
        and questions.right_at is not distinct from right_nodes.opened_at

),

-- A pair a person has decided on is no question any more.
undecided as (

    select asked.* exclude (low_node_id, high_node_id)
    from asked
    left join overrides
        on asked.portfolio_id = overrides.portfolio_id
        and overrides.problem is null
        and asked.low_node_id = least(overrides.left_node_id, overrides.right_node_id)
        and asked.high_node_id = greatest(overrides.left_node_id, overrides.right_node_id)
        and asked.low_node_id <> asked.high_node_id
    where overrides.override_id is null

),

-- "Different people" said of a pair that was asked about is an answer, also where no link was to be cut.
answers as (

    select distinct
        portfolio_id,
        low_node_id,
        high_node_id
    from asked

),

override_problem as (

    select
        judged_overrides.portfolio_id,
        'override_problem' as kind,
        judged_overrides.left_type,
        judged_overrides.left_value,
        judged_overrides.left_at,
        judged_overrides.right_type,
        judged_overrides.right_value,
        judged_overrides.right_at,
        judged_overrides.final_problem as subject,
        'override:' || judged_overrides.override_id as evidence_event_id,
        judged_overrides.decided_at as first_seen_at,
        judged_overrides.decided_at as last_seen_at,
        1.0 as score
    from judged_overrides
    left join answers
        on judged_overrides.portfolio_id = answers.portfolio_id
        and answers.low_node_id = least(judged_overrides.left_node_id, judged_overrides.right_node_id)
        and answers.high_node_id = greatest(judged_overrides.left_node_id, judged_overrides.right_node_id)
    where
        judged_overrides.final_problem is not null
        and not (judged_overrides.final_problem = 'no_such_link' and answers.low_node_id is not null)

),

unioned as (

    select * from undecided
    union all by name
    select * from override_problem

),

counted as (

    select
        portfolio_id,
        kind,
        left_type,
        left_value,
        left_at,
        right_type,
        right_value,
        right_at,
        subject,
        min(evidence_event_id) as evidence_event_id,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        max(score) as score,
        count(*) as occurrence_count
    from unioned
    group by all

),

final as (

    select
        islands.island_id,
        counted.*
    from counted
    inner join islands
        on {{ identifier_key('counted.portfolio_id', 'coalesce(counted.left_value, counted.right_value)') }}
        = islands.identifier_key

)

select * from final
