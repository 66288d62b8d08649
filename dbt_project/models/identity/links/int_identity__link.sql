-- The edges of the identity graph: inference first, then what a person decided (R11).
with

successions as (

    select * from {{ ref('int_identity__succession') }} where decision = 'kept'

),

backfills as (

    select * from {{ ref('int_identity__backfill') }} where decision = 'adopted'

),

overrides as (

    select * from {{ ref('int_identity__override') }} where problem is null

),

inferred as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        'R2' as link_rule,
        strength as link_detail,
        evidence_tier,
        evidence_event_id,
        linked_at
    from successions
    union all
    select
        portfolio_id,
        segment_node_id as left_node_id,
        bsuid_node_id as right_node_id,
        link_rule,
        if(silence_days <= {{ var('backfill_max_silence_days') }}, 'within_silence', 'same_name')
            as link_detail,
        4 as evidence_tier,
        evidence_event_id,
        paired_at as linked_at
    from backfills

),

decided as (

    select
        portfolio_id,
        least(left_node_id, right_node_id) as low_node_id,
        greatest(left_node_id, right_node_id) as high_node_id,
        decision,
        min(override_id) as override_id,
        min(coalesce(decided_at, timestamp '1970-01-01')) as decided_at,
        min(author) as author
    from overrides
    group by portfolio_id, low_node_id, high_node_id, decision

),

uncut as (

    select inferred.*
    from inferred
    left join decided
        on inferred.portfolio_id = decided.portfolio_id
        and least(inferred.left_node_id, inferred.right_node_id) = decided.low_node_id
        and greatest(inferred.left_node_id, inferred.right_node_id) = decided.high_node_id
        and decided.decision = 'cannot_link'
    where decided.override_id is null

),

declared as (

    select
        portfolio_id,
        low_node_id as left_node_id,
        high_node_id as right_node_id,
        'R11' as link_rule,
        'must_link' as link_detail,
        3 as evidence_tier,
        'override:' || override_id as evidence_event_id,
        decided_at as linked_at
    from decided
    where decision = 'must_link'

),

unioned as (

    select * from uncut
    union all
    select * from declared

),

-- Two rules may find the same edge; the strongest evidence names it.
final as (

    select *
    from unioned
    qualify row_number() over (
        partition by
            portfolio_id,
            least(left_node_id, right_node_id),
            greatest(left_node_id, right_node_id)
        order by evidence_tier, linked_at, link_rule, evidence_event_id
    ) = 1

)

select * from final
