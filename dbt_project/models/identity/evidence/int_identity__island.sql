{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='identifier_key') }}

-- Everything that lets one identifier bear on another makes them one island: shown together, told by one message,
-- one change, one override, another spelling, one username at two times. The business's own numbers connect nothing.
-- A run that adds joins islands and never parts them: a larger one is more work, and decides nothing.
with

observations as (

    select * from {{ ref('int_identity__observation') }}

),

changes as (

    select * from {{ ref('int_identity__change_copy') }}
    {{- landed_since() }}

),

overrides as (

    select * from {{ ref('identity_overrides') }}

),

spellings as (

    select * from {{ ref('int_phone__number') }}
    where default_country is null and phone <> match_key

),

never_a_person as (

    select * from {{ ref('int_identity__never_a_person') }}

),

shown as (

    select distinct
        portfolio_id,
        bsuid,
        phone,
        parent_bsuid,
        username,
        anchor_key
    from observations
    {{- landed_since() }}

),

-- Own numbers are found out as they come: whoever was taken for a person on one is looked at again.
unmasked as (

    select
        {{ identifier_key('portfolio_id', 'identifier_value') }} as identifier_key
    from never_a_person
    {{- landed_since() }}

),

shown_identifiers as (

    select
        portfolio_id,
        anchor_key,
        unnest([bsuid, phone, parent_bsuid, username]) as identifier_value
    from shown

),

shown_together as (

    select
        shown_identifiers.anchor_key as left_key,
        {{ identifier_key('shown_identifiers.portfolio_id', 'shown_identifiers.identifier_value') }} as right_key
    from shown_identifiers
    anti join never_a_person using (portfolio_id, identifier_value)
    where shown_identifiers.identifier_value is not null
    union
    select anchor_key as left_key, anchor_key as right_key from shown

),

-- One message may show several identifiers, one at a time; a message to a group shows its participants.
told_apart as (

    select
        message_key,
        min(anchor_key) as left_key
    from observations
    {%- if is_incremental() %}
    where message_key in (select message_key from observations {{ landed_since() }})
    {%- endif %}
    group by message_key
    having min(anchor_key) <> max(anchor_key)

),

told_by_one_message as (

    select distinct
        told_apart.left_key,
        observations.anchor_key as right_key
    from observations
    inner join told_apart using (message_key)

),

edits as (

    select
        load_id,
        anchor_key,
        {{ identifier_key('portfolio_id', 'original_message_id') }} as message_key
    from observations
    where original_message_id is not null

),

-- What edits or takes back a message, and the message, whichever came first.
about_one_message as (

    select distinct
        edits.anchor_key as left_key,
        observations.anchor_key as right_key
    from edits
    inner join observations using (message_key)
    {%- if is_incremental() %}
    where greatest(edits.load_id, observations.load_id) > (select max(load_id) from {{ this }})
    {%- endif %}

),

changed_identifiers as (

    select
        portfolio_id,
        {{ row_key(['portfolio_id', 'event_id']) }} as left_key,
        unnest([old_bsuid, body_old_bsuid, new_bsuid, old_phone, new_phone, old_parent_bsuid, new_parent_bsuid])
            as identifier_value
    from changes

),

-- What was ever decided is looked at in every run: a decision may have been taken out, or have expired.
decided_identifiers as (

    select
        portfolio_id,
        {{ row_key(['portfolio_id', 'left_value', 'right_value']) }} as left_key,
        unnest([left_value, right_value]) as identifier_value
    from overrides

),

other_spellings as (

    select distinct
        {{ identifier_key('shown.portfolio_id', 'shown.phone') }} as left_key,
        {{ identifier_key('shown.portfolio_id', 'spellings.match_key') }} as right_key
    from shown
    inner join spellings using (phone)

),

connections as (

    select left_key, right_key, false as is_decided from shown_together
    union all
    select left_key, right_key, false as is_decided from told_by_one_message
    union all
    select left_key, right_key, false as is_decided from about_one_message
    union all
    select
        changed_identifiers.left_key,
        {{ identifier_key('portfolio_id', 'identifier_value') }} as right_key,
        false as is_decided
    from changed_identifiers
    anti join never_a_person using (portfolio_id, identifier_value)
    where identifier_value is not null
    union all
    select
        left_key,
        {{ identifier_key('portfolio_id', 'identifier_value') }} as right_key,
        true as is_decided
    from decided_identifiers
    where identifier_value is not null
    union all
    select left_key, right_key, false as is_decided from other_spellings
    {%- if is_incremental() %}
    union all
    select identifier_key as left_key, identifier_key as right_key, false as is_decided from unmasked
    union all
    select identifier_key as left_key, identifier_key as right_key, true as is_decided
    from {{ this }}
    where is_decided
    {%- endif %}

),

-- The islands that this touches, with all their identifiers.
known as (

    {%- if is_incremental() %}
    select
        identifier_key,
        island_id
    from {{ this }}
    where island_id in (
        select island_id
        from {{ this }}
        where
            identifier_key in (select left_key from connections)
            or identifier_key in (select right_key from connections)
    )
    {%- else %}
    select
        left_key as identifier_key,
        left_key as island_id
    from connections
    where false
    {%- endif %}

),

edges as (

    select left_key, right_key from connections
    union
    select identifier_key as left_key, island_id as right_key from known

),

components as (

    {{ connected_components('edges', [], 'left_key', 'right_key') }}

),

decided as (

    select left_key as identifier_key from connections where is_decided
    union
    select right_key as identifier_key from connections where is_decided

),

newest as (

    select coalesce(max(load_id), 0) as load_id
    from (
        select load_id from observations
        union all
        select load_id from changes
        {%- if is_incremental() %}
        union all
        select load_id from {{ this }}
        {%- endif %}
    )

),

final as (

    select
        components.node_id as identifier_key,
        components.label_id as island_id,
        coalesce(known.island_id, components.label_id) as former_island_id,
        decided.identifier_key is not null as is_decided,
        newest.load_id
    from components
    cross join newest
    left join known on components.node_id = known.identifier_key
    left join decided on components.node_id = decided.identifier_key

)

select * from final
