-- R5, R8: may the BSUID that took a phone adopt the phone-only history right before it?
with

claims as (

    select * from {{ ref('int_identity__claim') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

changes as (

    select * from {{ ref('int_identity__change_side') }}

),

successions as (

    select * from {{ ref('int_identity__succession') }} where decision = 'kept'

),

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null

),

pairings as (

    select * from {{ ref('int_identity__pairing') }}

),

owner_signs as (

    select * from {{ ref('int_identity__owner_sign') }}

),

reached_again as (

    select * from {{ ref('int_identity__owner_sign') }}
    where out_of_reach_from is not null

),

overrides as (

    select * from {{ ref('int_identity__override') }} where decision = 'cannot_link' and problem is null

),

openings as (

    select
        *,
        lag(valid_from, 1, timestamp '0001-01-01') over (
            partition by portfolio_id, phone order by valid_from
        ) as previous_claim_from
    from claims

),

last_segments as (

    select * from segments
    where next_segment_from is null

),

-- The segment a claim ended: the last one before it that no other claim lies between.
ended_segments as (

    select
        openings.portfolio_id,
        openings.phone,
        openings.bsuid,
        {{ bsuid_node('openings.bsuid') }} as bsuid_node_id,
        openings.valid_from as paired_at,
        openings.evidence_event_id,
        openings.opened_by,
        last_segments.node_id as segment_node_id,
        last_segments.last_inbound_at,
        last_segments.last_reached_at,
        last_segments.last_sent_at,
        last_segments.unbroken_from,
        coalesce(last_segments.last_named_at, last_segments.opened_at) as last_named_at,
        exists (
            select 1
            from cuts
            where
                cuts.portfolio_id = openings.portfolio_id
                and cuts.phone = openings.phone
                and cuts.cut_at > last_segments.opened_at
                and cuts.cut_at <= openings.valid_from
        ) as is_cut
    from openings
    inner join last_segments
        on openings.portfolio_id = last_segments.portfolio_id
        and openings.phone = last_segments.phone
        and openings.previous_claim_from = last_segments.gap_after_claim
        and openings.valid_from >= last_segments.opened_at
    qualify row_number() over (
        partition by openings.portfolio_id, openings.phone, openings.valid_from
        order by last_segments.opened_at desc
    ) = 1

),

named as (

    select
        portfolio_id,
        bsuid,
        -- a status shows the name of its own time
        seen_at as evidence_at,
        (received_at, event_id, observation_kind) as arrival,
        {{ normalised_name('profile_name') }} as name
    from observations
    where {{ normalised_name('profile_name') }} is not null

),

latest_names as (

    select
        portfolio_id,
        bsuid,
        evidence_at,
        arg_max(name, arrival) as name
    from named
    group by all

),

-- A node without a name of its own carries that of the node it succeeded.
ancestry as (

    with recursive reached as (

        select distinct
            portfolio_id,
            paired_at,
            unnest([segment_node_id, {{ bsuid_node('bsuid') }}]) as node_id,
            unnest([segment_node_id, {{ bsuid_node('bsuid') }}]) as ancestor_id,
            0 as distance
        from ended_segments
        union
        select
            reached.portfolio_id,
            reached.paired_at,
            reached.node_id,
            successions.left_node_id as ancestor_id,
            reached.distance + 1 as distance
        from reached
        inner join successions
            on reached.portfolio_id = successions.portfolio_id
            and reached.ancestor_id = successions.right_node_id
        where reached.distance < 100

    )

    select * from reached

),

ancestor_names as (

    select
        ancestry.portfolio_id,
        ancestry.node_id,
        ancestry.paired_at,
        ancestry.distance,
        ancestry.ancestor_id,
        coalesce(latest_names.name, segments.last_name) as name
    from ancestry
    asof left join latest_names
        on ancestry.portfolio_id = latest_names.portfolio_id
        and ancestry.ancestor_id = {{ bsuid_node('latest_names.bsuid') }}
        and ancestry.paired_at >= latest_names.evidence_at
    left join segments
        on ancestry.portfolio_id = segments.portfolio_id
        and ancestry.ancestor_id = segments.node_id

),

names_at_pairing as (

    select
        portfolio_id,
        node_id,
        paired_at,
        arg_min(name, (distance, ancestor_id)) filter (where name is not null) as name
    from ancestor_names
    group by all

),

first_names as (

    select
        portfolio_id,
        {{ bsuid_node('bsuid') }} as node_id,
        arg_min(name, (evidence_at, arrival)) as name
    from named
    group by all

),

-- Whoever came by a change from another phone: what lies before them here is somebody else's.
arrivals as (

    select
        *,
        {{ bsuid_node('new_bsuid') }} as arrived_node_id
    from changes
    where new_bsuid is not null
    union all
    select
        *,
        new_phone_node_id as arrived_node_id
    from changes
    where new_bsuid is null and new_phone_node_id is not null

),

arrived_from_elsewhere as (

    select
        ended_segments.portfolio_id,
        ended_segments.phone,
        ended_segments.segment_node_id,
        ended_segments.paired_at,
        arrivals.change_id,
        {{ bsuid_node('arrivals.old_bsuid') }} as old_node_id,
        {{ bsuid_node('arrivals.body_old_bsuid') }} as body_old_node_id,
        nullif(arrivals.old_phone_node_id, ended_segments.bsuid_node_id) as old_phone_node_id
    from ended_segments
    inner join arrivals
        on ended_segments.portfolio_id = arrivals.portfolio_id
        and ended_segments.bsuid_node_id = arrivals.arrived_node_id
        and coalesce(arrivals.old_bsuid, arrivals.body_old_bsuid) is distinct from ended_segments.bsuid
        and arrivals.old_phone is distinct from ended_segments.phone
    left join segments as segments_here
        on arrivals.portfolio_id = segments_here.portfolio_id
        and arrivals.old_phone_node_id = segments_here.node_id
        and ended_segments.phone = segments_here.phone
    where segments_here.node_id is null

),

-- Their old side had been seen on this very phone.
seen_here_before as (

    select distinct
        arrived_from_elsewhere.portfolio_id,
        arrived_from_elsewhere.segment_node_id,
        arrived_from_elsewhere.change_id
    from arrived_from_elsewhere
    inner join pairings
        on arrived_from_elsewhere.portfolio_id = pairings.portfolio_id
        and arrived_from_elsewhere.phone = pairings.phone
        and arrived_from_elsewhere.paired_at >= pairings.evidence_at
        and {{ bsuid_node('pairings.bsuid') }} in (
            arrived_from_elsewhere.old_node_id,
            arrived_from_elsewhere.body_old_node_id,
            arrived_from_elsewhere.old_phone_node_id
        )

),

came_by_rotation as (

    select distinct
        arrived_from_elsewhere.portfolio_id,
        arrived_from_elsewhere.segment_node_id
    from arrived_from_elsewhere
    left join seen_here_before using (portfolio_id, segment_node_id, change_id)
    where seen_here_before.change_id is null

),

with_names as (

    select
        ended_segments.*,
        segment_names.name as segment_name,
        coalesce(bsuid_names.name, first_names.name) as bsuid_name,
        came_by_rotation.segment_node_id is not null as is_by_rotation
    from ended_segments
    left join names_at_pairing as segment_names
        on ended_segments.portfolio_id = segment_names.portfolio_id
        and ended_segments.segment_node_id = segment_names.node_id
        and ended_segments.paired_at = segment_names.paired_at
    left join names_at_pairing as bsuid_names
        on ended_segments.portfolio_id = bsuid_names.portfolio_id
        and ended_segments.bsuid_node_id = bsuid_names.node_id
        and ended_segments.paired_at = bsuid_names.paired_at
    left join first_names
        on ended_segments.portfolio_id = first_names.portfolio_id
        and ended_segments.bsuid_node_id = first_names.node_id
    left join came_by_rotation
        on ended_segments.portfolio_id = came_by_rotation.portfolio_id
        and ended_segments.segment_node_id = came_by_rotation.segment_node_id

),

-- The last sign before the pairing, and the last time somebody was reached again before it.
with_owner_signs as (

    select
        with_names.*,
        coalesce(with_names.last_inbound_at, with_names.last_reached_at, with_names.last_sent_at) as last_there_at,
        coalesce(owner_signs.evidence_at > with_names.last_named_at, false) as has_owner_sign,
        coalesce(reached_again.evidence_at > last_there_at, false) as was_out_of_reach
    from with_names
    asof left join owner_signs
        on with_names.portfolio_id = owner_signs.portfolio_id
        and with_names.phone = owner_signs.phone
        and with_names.paired_at >= owner_signs.evidence_at
    asof left join reached_again
        on with_names.portfolio_id = reached_again.portfolio_id
        and with_names.phone = reached_again.phone
        and with_names.paired_at >= reached_again.evidence_at

),

compared as (

    select
        *,
        coalesce(
            {{ is_same_name('segment_name', 'bsuid_name', 'last_there_at', 'paired_at') }}, false
        ) as is_same_name,
        coalesce({{ is_other_name('segment_name', 'bsuid_name') }}, false) as is_other_name,
        paired_at - if(
            is_other_name or was_out_of_reach,
            interval ({{ var('contradicted_max_silence_days') }}) day,
            interval ({{ var('backfill_max_silence_days') }}) day
        ) as silent_from
    from with_owner_signs

),

-- Was somebody there so recently that it must be the one who was paired? What they did says most, then what reached them.
judged as (

    select
        *,
        case
            when last_inbound_at >= silent_from then 'within_silence'
            when
                last_inbound_at >= unbroken_from
                and last_reached_at >= paired_at - interval ({{ var('number_rest_min_days') }}) day
                then 'never_rested'
            when last_inbound_at is null and last_reached_at >= silent_from then 'reached_within_silence'
            when
                last_reached_at is null
                and last_sent_at >= paired_at - interval ({{ var('number_rest_min_days') }}) day
                then 'sent_within_rest'
        end as there
    from compared

),

decided as (

    select
        *,
        if(opened_by = 'shared_contact', 'R8', 'R5') as link_rule,
        case
            when is_cut and not (there is not null and is_same_name) then 'number_changed'
            when is_by_rotation and not (there is not null and is_same_name) then 'came_by_rotation'
            when has_owner_sign and is_other_name then 'new_owner_sign'
            when
                link_rule = 'R8'
                and is_other_name
                and last_inbound_at >= paired_at - interval ({{ var('backfill_max_silence_days') }}) day
                then 'attested_under_another_name'
            when there is not null or is_same_name then 'adopted'
            when is_other_name then 'silent_and_renamed'
            else 'silent'
        end as inferred_decision
    from judged

),

-- R11: what a person parted.
parted as (

    select portfolio_id, left_node_id as segment_node_id, right_node_id as bsuid_node_id from overrides
    union
    select portfolio_id, right_node_id as segment_node_id, left_node_id as bsuid_node_id from overrides

),

final as (

    select
        decided.portfolio_id,
        decided.phone,
        decided.segment_node_id,
        decided.bsuid_node_id,
        decided.bsuid,
        decided.paired_at,
        decided.evidence_event_id,
        decided.link_rule,
        date_diff('day', decided.last_there_at, decided.paired_at) as silence_days,
        decided.segment_name,
        decided.bsuid_name,
        if(
            decided.inferred_decision = 'adopted' and parted.portfolio_id is not null,
            'cut',
            decided.inferred_decision
        ) as decision,
        if(decided.inferred_decision = 'adopted', coalesce(decided.there, 'same_name'), null) as reason
    from decided
    left join parted using (portfolio_id, segment_node_id, bsuid_node_id)

)

select * from final
