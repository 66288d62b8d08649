-- R2: the edges between nodes that rotations and number changes are evidence for.
with

both_sides as (

    select * from {{ ref('int_identity__change_side') }}

),

overrides as (

    select * from {{ ref('int_identity__override') }} where decision = 'cannot_link' and problem is null

),

typed_edges as (

    select
        portfolio_id,
        {{ bsuid_node('old_bsuid') }} as left_node_id,
        {{ bsuid_node('new_bsuid') }} as right_node_id,
        strength,
        false as is_loose,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is not null and new_bsuid is not null

),

-- An old phone known only by its phone-only history, or left unseen, says nothing against a named BSUID.
phone_edges as (

    select
        portfolio_id,
        coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id) as left_node_id,
        coalesce({{ bsuid_node('new_bsuid') }}, new_phone_node_id) as right_node_id,
        2 as strength,
        old_bsuid is null
        and (is_carried or is_old_phone_segment) as is_loose,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is null or new_bsuid is null

),

body_text_edges as (

    select
        portfolio_id,
        {{ bsuid_node('body_old_bsuid') }} as left_node_id,
        {{ bsuid_node('new_bsuid') }} as right_node_id,
        1 as strength,
        false as is_loose,
        event_id,
        changed_at
    from both_sides
    where old_bsuid is null and body_old_bsuid is not null and new_bsuid is not null

),

candidates as (

    select * from typed_edges
    union all by name
    select * from phone_edges
    union all by name
    select * from body_text_edges

),

told_edges as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        changed_at,
        strength,
        bool_and(is_loose) as is_loose,
        min(event_id) as event_id
    from candidates
    where
        left_node_id is not null
        and right_node_id is not null
        and left_node_id <> right_node_id
    group by all

),

edges as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        max(strength) as strength,
        bool_and(is_loose) as is_loose,
        min(changed_at) as linked_at
    from told_edges
    group by all

),

-- One change told twice, by its phones and by its BSUIDs: both old ends are one side of it.
told_twice as (

    select
        named.portfolio_id,
        named.right_node_id,
        named.left_node_id as named_node_id,
        loose.left_node_id as loose_node_id,
        greatest(named.strength, loose.strength) as strength
    from edges as named
    inner join edges as loose
        on named.portfolio_id = loose.portfolio_id
        and named.right_node_id = loose.right_node_id
        and not named.is_loose
        and loose.is_loose
        and named.linked_at between
        loose.linked_at - interval ({{ var('rotation_copy_window_days') }}) day
        and loose.linked_at + interval ({{ var('rotation_copy_window_days') }}) day
    -- two of a kind contradict each other
    qualify
        count(*) over (
            partition by named.portfolio_id, named.right_node_id, named.left_node_id
        ) = 1
        and count(*) over (
            partition by named.portfolio_id, named.right_node_id, loose.left_node_id
        ) = 1

),

sides as (

    select
        portfolio_id,
        unnest([named_node_id, loose_node_id]) as left_node_id,
        right_node_id,
        named_node_id as side,
        strength
    from told_twice

),

sided_edges as (

    select
        told_edges.*,
        coalesce(sides.side, told_edges.left_node_id) as side,
        coalesce(sides.strength, told_edges.strength) as side_strength
    from told_edges
    left join sides using (portfolio_id, left_node_id, right_node_id)

),

-- At equal strength the edges of a fork or a join are all dropped; the strictly strongest stays.
judged as (

    {{ keep_unambiguous('sided_edges') }}

),

late_edges as (

    select distinct
        portfolio_id,
        coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id) as left_node_id,
        late_node_id as right_node_id,
        changed_at,
        2 as strength,
        event_id,
        'late' as decision,
        false as is_return
    from both_sides
    where left_node_id <> late_node_id

),

all_edges as (

    select
        *,
        array_position(['kept', 'ambiguous', 'outranked', 'late'], decision) as place
    from (
        select * exclude (is_loose, side, side_strength) from judged
        union all by name
        select * from late_edges
    )

),

-- Of all changes that tell of a pair, those that were judged best.
best_edges as (

    select *
    from all_edges
    qualify place = min(place) over (partition by portfolio_id, left_node_id, right_node_id)

),

decided as (

    select
        portfolio_id,
        left_node_id,
        right_node_id,
        decision,
        max(strength) as strength,
        arg_min(event_id, (-strength, changed_at, event_id)) as evidence_event_id,
        min(changed_at) as linked_at,
        max(changed_at) as last_linked_at,
        bool_or(is_return) as is_return
    from best_edges
    group by all

),

-- R11: what a person parted.
parted as (

    select portfolio_id, left_node_id, right_node_id from overrides
    union
    select portfolio_id, right_node_id as left_node_id, left_node_id as right_node_id from overrides

),

final as (

    select
        decided.portfolio_id,
        decided.left_node_id,
        decided.right_node_id,
        case decided.strength
            when 4 then 'typed'
            when 3 then 'user_id_update'
            when 2 then 'phone'
            else 'body_text'
        end as strength,
        if(decided.strength >= 3, 1, 4) as evidence_tier,
        decided.evidence_event_id,
        decided.linked_at,
        decided.last_linked_at,
        decided.is_return,
        if(decided.decision = 'kept' and parted.portfolio_id is not null, 'cut', decided.decision) as decision
    from decided
    left join parted using (portfolio_id, left_node_id, right_node_id)

)

select * from final
