-- R2: which node stood on the old phone just before a change, and which came first on the new one.
with

changes as (

    select * from {{ ref('int_identity__change') }}

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

stays as (

    select * from {{ ref('int_identity__stay') }}
    {{- of_this_run() }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and profile_name is not null

),

old_sides as (

    select
        changes.*,
        case when stays.stays_to >= changes.changed_at then stays.node_id end as old_phone_node_id,
        stays.stays_to >= changes.changed_at and stays.is_segment as is_old_phone_segment
    from changes
    asof left join stays
        on changes.portfolio_id = stays.portfolio_id
        and changes.old_phone = stays.phone
        and changes.changed_at > stays.stays_from

),

-- The new phone may be seen only later: the change waits for its first node, until the phone is cut again (with
-- that cut, while it may be the same change told once more).
sides as (

    select
        old_sides.*,
        cuts.cut_at as new_phone_cut_at,
        case
            when
                cuts.cut_at is null
                or stays.stays_from < cuts.cut_at
                or stays.stays_from = cuts.cut_at
                and cuts.cut_at
                <= old_sides.changed_at + interval ({{ var('rotation_copy_window_days') }}) day
                then stays.node_id
        end as first_node_id,
        stays.stays_from as first_from
    from old_sides
    asof left join stays
        on old_sides.portfolio_id = stays.portfolio_id
        and old_sides.new_phone = stays.phone
        and old_sides.changed_at <= stays.stays_from
    asof left join cuts
        on old_sides.portfolio_id = cuts.portfolio_id
        and old_sides.new_phone = cuts.phone
        and old_sides.changed_at < cuts.cut_at

),

-- Whoever left a phone again before anybody was seen on it takes the old side along to the next phone.
carried as (

    with recursive waiting as (

        select
            portfolio_id,
            change_id,
            coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id) as node_id,
            new_phone,
            new_phone_cut_at,
            new_bsuid is null and first_node_id is null as is_waiting,
            false as is_carried
        from sides
        where old_bsuid is not null or old_phone_node_id is not null
        union all
        select
            sides.portfolio_id,
            sides.change_id,
            waiting.node_id,
            sides.new_phone,
            sides.new_phone_cut_at,
            sides.new_bsuid is null and sides.first_node_id is null as is_waiting,
            true as is_carried
        from waiting
        inner join sides
            on waiting.portfolio_id = sides.portfolio_id
            and waiting.new_phone = sides.old_phone
            and waiting.new_phone_cut_at = sides.changed_at
        where
            waiting.is_waiting
            and sides.old_bsuid is null
            and sides.old_phone_node_id is null

    )

    select
        portfolio_id,
        change_id,
        min(node_id) as node_id
    from waiting
    where is_carried
    group by portfolio_id, change_id
    having count(distinct node_id) = 1

),

with_carried as (

    select
        sides.* exclude (old_phone_node_id, is_old_phone_segment),
        coalesce(sides.old_phone_node_id, carried.node_id) as old_phone_node_id,
        coalesce(sides.is_old_phone_segment, false) as is_old_phone_segment,
        sides.old_phone_node_id is null and carried.node_id is not null as is_carried
    from sides
    left join carried using (portfolio_id, change_id)

),

-- Whoever comes only after so long may be somebody else: then their names must not differ.
late_ends as (

    select
        portfolio_id,
        change_id,
        changed_at,
        first_from,
        unnest(['old', 'new']) as side,
        unnest([coalesce({{ bsuid_node('old_bsuid') }}, old_phone_node_id), first_node_id]) as node_id
    from with_carried
    where
        new_bsuid is null
        and first_from > changed_at + interval ({{ var('succession_wait_days') }}) day

),

late_names as (

    select
        late_ends.portfolio_id,
        late_ends.change_id,
        late_ends.side,
        late_ends.changed_at,
        late_ends.first_from,
        observations.seen_at as named_at,
        {{ normalised_name('observations.profile_name') }} as name
    from late_ends
    inner join observations
        on late_ends.portfolio_id = observations.portfolio_id
        and late_ends.node_id = {{ bsuid_node('observations.bsuid') }}
    union all
    select
        late_ends.portfolio_id,
        late_ends.change_id,
        late_ends.side,
        late_ends.changed_at,
        late_ends.first_from,
        segments.opened_at as named_at,
        if(late_ends.side = 'old', segments.last_name, segments.first_name) as name
    from late_ends
    inner join segments
        on late_ends.portfolio_id = segments.portfolio_id
        and late_ends.node_id = segments.node_id

),

-- What the old side was called last before the change, and the new one first on its phone.
names_around as (

    select
        portfolio_id,
        change_id,
        coalesce(
            arg_max(name, (named_at, name)) filter (where side = 'old' and named_at <= changed_at),
            arg_min(name, (named_at, name)) filter (where side = 'old')
        ) as old_name,
        coalesce(
            arg_min(name, (named_at, name)) filter (where side = 'new' and named_at >= first_from),
            arg_max(name, (named_at, name)) filter (where side = 'new')
        ) as new_name
    from late_names
    where name is not null
    group by all

),

renamed as (

    select * from names_around
    where {{ is_other_name('old_name', 'new_name') }}

),

final as (

    select
        with_carried.* exclude (first_node_id, first_from),
        case when renamed.change_id is null then with_carried.first_node_id end as new_phone_node_id,
        case when renamed.change_id is not null then with_carried.first_node_id end as late_node_id
    from with_carried
    left join renamed using (portfolio_id, change_id)

)

select * from final
