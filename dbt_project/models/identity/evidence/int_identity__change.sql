-- R2: what a rotation or a number change says, one row per physical change.
-- Meta sends one copy per business number, in whatever generation that number is served.
with

event_copies as (

    select * from {{ ref('int_identity__change_copy') }}

),

islands as (

    select * from {{ ref('int_identity__island') }}
    {{- of_this_run() }}

),

never_a_person as (

    select * from {{ ref('int_identity__never_a_person') }}

),

-- Every delivery of an event is a row: the earliest receipt counts, of equal ones the smallest content.
events as (

    select
        event_copies.*,
        islands.island_id
    from event_copies
    inner join islands on event_copies.event_key = islands.identifier_key
    qualify
        row_number() over (
            partition by event_copies.portfolio_id, event_copies.event_id
            order by
                event_copies.received_at,
                {{ row_key([
                    'event_copies.waba_id', 'phone_number_id', 'evidence_at', 'strength', 'change_sides',
                    'old_phone', 'new_phone', 'old_parent_bsuid', 'new_parent_bsuid', 'username', 'profile_name',
                ]) }}
        ) = 1

),

named as (

    select
        portfolio_id,
        event_id,
        unnest([old_bsuid, body_old_bsuid, new_bsuid, old_phone, new_phone, old_parent_bsuid, new_parent_bsuid])
            as identifier_value
    from events

),

-- What names the business's own numbers alone is no customer's change.
of_somebody as (

    select distinct
        portfolio_id,
        event_id
    from named
    anti join never_a_person using (portfolio_id, identifier_value)
    where identifier_value is not null

),

copies as (

    select
        *,
        evidence_at > lag(evidence_at) over same_sides
        + interval ({{ var('rotation_copy_window_days') }}) day as is_new_change
    from events
    semi join of_somebody using (portfolio_id, event_id)
    window same_sides as (
        partition by portfolio_id, change_sides
        order by evidence_at, received_at, event_id
    )

),

numbered_copies as (

    select
        *,
        count(*) filter (where is_new_change) over (
            partition by portfolio_id, change_sides
            order by evidence_at, received_at, event_id
        ) as change_number
    from copies

),

final as (

    select
        min(island_id) as island_id,
        portfolio_id,
        md5(portfolio_id || change_sides || change_number::varchar) as change_id,
        min(evidence_at) as changed_at,
        max(strength) as strength,
        arg_min(old_bsuid, (evidence_at, received_at, event_id)) as old_bsuid,
        arg_min(body_old_bsuid, (evidence_at, received_at, event_id)) as body_old_bsuid,
        arg_min(old_phone, (evidence_at, received_at, event_id)) as old_phone,
        arg_min(new_bsuid, (evidence_at, received_at, event_id)) as new_bsuid,
        arg_min(new_phone, (evidence_at, received_at, event_id)) as new_phone,
        min(old_parent_bsuid) as old_parent_bsuid,
        min(new_parent_bsuid) as new_parent_bsuid,
        arg_min(event_id, (evidence_at, received_at, event_id)) as event_id,
        arg_min(received_at, (evidence_at, received_at, event_id)) as received_at,
        arg_min(waba_id, (evidence_at, received_at, event_id)) as waba_id,
        count(*) as copy_count
    from numbered_copies
    group by portfolio_id, change_sides, change_number

)

select * from final
