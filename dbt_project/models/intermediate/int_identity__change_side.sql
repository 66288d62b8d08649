-- R2: which node stood on the old phone just before a change, and which came first on the new one.
with

changes as (

    select * from {{ ref('int_identity__change') }}

),

cuts as (

    select * from {{ ref('int_identity__phone_cut') }}

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

segments as (

    select * from {{ ref('int_identity__phone_segment') }}

),

-- Who was on a phone, and from when: a holder or a stretch of phone-only history.
stays as (

    select
        portfolio_id,
        phone,
        {{ bsuid_node('bsuid') }} as node_id,
        valid_from as stays_from,
        valid_to as stays_to
    from claims
    where valid_to > valid_from
    union all
    select
        portfolio_id,
        phone,
        node_id,
        opened_at as stays_from,
        valid_to as stays_to
    from segments

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

-- The new phone may be seen only later: the change waits for its first node, until the phone is cut again.
final as (

    select
        old_sides.*,
        case when cuts.cut_at is null or stays.stays_from < cuts.cut_at
            then stays.node_id end as new_phone_node_id
    from old_sides
    asof left join stays
        on old_sides.portfolio_id = stays.portfolio_id
        and old_sides.new_phone = stays.phone
        and old_sides.changed_at <= stays.stays_from
    asof left join cuts
        on old_sides.portfolio_id = cuts.portfolio_id
        and old_sides.new_phone = cuts.phone
        and old_sides.changed_at < cuts.cut_at

)

select * from final
