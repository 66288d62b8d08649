-- R8: a number the user attested; void while another customer was sighted on it.
with

observations as not materialized (

    select * from {{ ref('int_identity__sighting') }}

),

changes as (

    select * from {{ ref('int_identity__change') }}

),

overrides as (

    select * from {{ ref('identity_overrides') }}

),

as_of as (

    select * from {{ ref('int_identity__as_of') }}

),

attested as (

    select *
    from observations
    where observation_kind = 'shared_contact' and bsuid is not null and phone is not null

),

-- BSUIDs that succession by name joins are the same customer; succession by phone needs the claims.
named_edges as (

    select
        portfolio_id,
        coalesce(old_bsuid, body_old_bsuid) as left_node_id,
        new_bsuid as right_node_id,
        changed_at,
        max(if(old_bsuid is null, 1, strength)) as strength,
        left_node_id as side,
        max(if(old_bsuid is null, 1, strength)) as side_strength
    from changes
    where coalesce(old_bsuid, body_old_bsuid) <> new_bsuid
    group by all

),

judged_edges as (

    {{ keep_unambiguous('named_edges') }}

),

parted as (

    {{ parted_bsuids('overrides', 'as_of') }}

),

joined as (

    select
        portfolio_id,
        left_node_id,
        right_node_id
    from judged_edges
    anti join parted
        on judged_edges.portfolio_id = parted.portfolio_id
        and judged_edges.left_node_id = parted.bsuid
        and judged_edges.right_node_id = parted.parted_bsuid
    where decision = 'kept'

),

succession as (

    select portfolio_id, left_node_id as bsuid, right_node_id as kin_bsuid from joined
    union all
    select portfolio_id, right_node_id as bsuid, left_node_id as kin_bsuid from joined

),

kin as (

    with recursive reached as (

        select distinct portfolio_id, bsuid, bsuid as kin_bsuid
        from attested
        union
        select
            reached.portfolio_id,
            reached.bsuid,
            succession.kin_bsuid
        from reached
        inner join succession
            on reached.portfolio_id = succession.portfolio_id
            and reached.kin_bsuid = succession.bsuid

    )

    select * from reached

),

earlier_pairings as (

    select
        attested.portfolio_id,
        attested.event_id,
        attested.bsuid,
        attested.phone,
        observations.tier,
        observations.bsuid as other_bsuid,
        observations.evidence_at,
        observations.event_id as other_event_id,
        kin.kin_bsuid is not null as is_same_customer,
        observations.evidence_at
        >= attested.evidence_at - interval ({{ var('backfill_max_silence_days') }}) day as is_recent
    from attested
    inner join observations
        on attested.portfolio_id = observations.portfolio_id
        and attested.phone = observations.phone
        and attested.evidence_at > observations.evidence_at
        and observations.bsuid is not null
    left join kin
        on attested.portfolio_id = kin.portfolio_id
        and attested.bsuid = kin.bsuid
        and observations.bsuid = kin.kin_bsuid

),

judged as (

    select
        portfolio_id,
        event_id,
        bsuid,
        phone,
        bool_or(is_same_customer and tier = 1) as was_held_before,
        arg_max(other_bsuid, (evidence_at, other_event_id))
            filter (where is_recent and not is_same_customer) as taken_by_bsuid
    from earlier_pairings
    group by all

),

-- A request that nobody stood against lets the same customer's later ones stand too.
granted as (

    select
        attested.portfolio_id,
        attested.phone,
        attested.bsuid,
        min(attested.evidence_at) as granted_at
    from attested
    left join judged using (portfolio_id, event_id, bsuid, phone)
    where judged.taken_by_bsuid is null or judged.was_held_before
    group by all

),

granted_before as (

    select distinct
        attested.portfolio_id,
        attested.event_id,
        attested.bsuid,
        attested.phone
    from attested
    inner join kin
        on attested.portfolio_id = kin.portfolio_id
        and attested.bsuid = kin.bsuid
    inner join granted
        on kin.portfolio_id = granted.portfolio_id
        and kin.kin_bsuid = granted.bsuid
        and attested.phone = granted.phone
        and attested.evidence_at > granted.granted_at

),

final as (

    select
        attested.portfolio_id,
        attested.event_id,
        attested.bsuid,
        attested.phone,
        attested.evidence_at,
        judged.taken_by_bsuid,
        judged.taken_by_bsuid is not null
        and not judged.was_held_before
        and granted_before.event_id is null as is_void
    from attested
    left join judged using (portfolio_id, event_id, bsuid, phone)
    left join granted_before using (portfolio_id, event_id, bsuid, phone)

)

select * from final
