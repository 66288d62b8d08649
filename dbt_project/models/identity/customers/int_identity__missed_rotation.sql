-- R7: a username that moved to a new BSUID with a new phone while the old one fell silent.
with

leases as (

    select * from {{ ref('int_identity__username_lease') }}

),

nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

claims as (

    select * from {{ ref('int_identity__claim') }}

),

observations as (

    select * from {{ ref('int_identity__sighting') }}
    where bsuid is not null and direction = 'inbound'

),

-- From one who wore it to the next: a name that a thousand wore in turn moved a thousand times, not half a million.
moves as (

    select
        portfolio_id,
        username,
        bsuid as old_bsuid,
        lead(bsuid) over of_username as new_bsuid,
        lead(valid_from) over of_username as moved_at,
        lead(evidence_event_id) over of_username as evidence_event_id
    from leases
    window of_username as (partition by portfolio_id, username order by valid_from, valid_to, bsuid)
    qualify
        bsuid <> new_bsuid
        and last_seen_at <= moved_at
        and moved_at <= last_seen_at + interval ({{ var('username_move_max_days') }}) day

),

named as (

    select
        portfolio_id,
        bsuid,
        arg_max({{ normalised_name('profile_name') }}, (evidence_at, received_at, event_id))
            filter (where {{ normalised_name('profile_name') }} is not null) as last_name,
        arg_min({{ normalised_name('profile_name') }}, (evidence_at, received_at, event_id))
            filter (where {{ normalised_name('profile_name') }} is not null) as first_name
    from observations
    group by all

),

phones as (

    select distinct portfolio_id, bsuid, phone
    from claims

),

final as (

    select
        moves.*,
        old_named.last_name as profile_name
    from moves
    inner join named as old_named
        on moves.portfolio_id = old_named.portfolio_id and moves.old_bsuid = old_named.bsuid
    inner join named as new_named
        on moves.portfolio_id = new_named.portfolio_id and moves.new_bsuid = new_named.bsuid
    inner join nodes as old_node
        on moves.portfolio_id = old_node.portfolio_id
        and {{ bsuid_node('moves.old_bsuid') }} = old_node.node_id
    inner join nodes as new_node
        on moves.portfolio_id = new_node.portfolio_id
        and {{ bsuid_node('moves.new_bsuid') }} = new_node.node_id
    where
        old_named.last_name = new_named.first_name
        and old_node.customer_key <> new_node.customer_key
        -- the old one fell silent, the new one is new
        and old_node.last_seen_at <= moves.moved_at
        and new_node.first_seen_at >= old_node.first_seen_at
        and not exists (
            select 1
            from phones as old_phone
            inner join phones as new_phone
                on old_phone.portfolio_id = new_phone.portfolio_id
                and old_phone.phone = new_phone.phone
            where
                old_phone.portfolio_id = moves.portfolio_id
                and old_phone.bsuid = moves.old_bsuid
                and new_phone.bsuid = moves.new_bsuid
        )
    qualify row_number() over (
        partition by moves.portfolio_id, moves.old_bsuid, moves.new_bsuid
        order by moves.moved_at, moves.username
    ) = 1

)

select * from final
