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

old_sides as (

    select
        changes.*,
        case when stays.stays_to >= changes.changed_at then stays.node_id end as old_phone_node_id
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
        end as new_phone_node_id
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
            new_bsuid is null and new_phone_node_id is null as is_waiting,
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
            sides.new_bsuid is null and sides.new_phone_node_id is null as is_waiting,
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

final as (

    select
        sides.* exclude (old_phone_node_id),
        coalesce(sides.old_phone_node_id, carried.node_id) as old_phone_node_id,
        sides.old_phone_node_id is null and carried.node_id is not null as is_carried
    from sides
    left join carried using (portfolio_id, change_id)

)

select * from final
