-- The edges of the identity graph: inference first, then what a person decided (R11).
with

successions as (

    select * from {{ ref('int_identity__succession') }} where decision = 'kept'

),

backfills as (

    select * from {{ ref('int_identity__backfill') }} where decision = 'adopted'

),

overrides as (

    select * from {{ ref('int_identity__override') }} where decision = 'must_link' and problem is null

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
        reason as link_detail,
        4 as evidence_tier,
        evidence_event_id,
        paired_at as linked_at
    from backfills

),

declared as (

    select
        portfolio_id,
        least(left_node_id, right_node_id) as low_node_id,
        greatest(left_node_id, right_node_id) as high_node_id,
        'R11' as link_rule,
        'must_link' as link_detail,
        3 as evidence_tier,
        'override:' || min(override_id) as evidence_event_id,
        min(coalesce(decided_at, timestamp '1970-01-01')) as linked_at
    from overrides
    group by portfolio_id, low_node_id, high_node_id

),

unioned as (

    select * from inferred
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
