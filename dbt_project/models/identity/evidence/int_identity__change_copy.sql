{{ config(materialized='incremental') }}

-- R2: one event that tells of a rotation or a number change, whichever generation it is written in.
with

system_messages as (

    select * from {{ ref('stg_whatsapp__system_message') }}
    {{- landed_since() }}

),

user_id_updates as (

    select * from {{ ref('stg_whatsapp__user_id_update') }}
    {{- landed_since() }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

-- An id is what its shape says, whichever slot it stands in.
rotations as (

    select
        load_id,
        landing_file,
        line_number,
        waba_id,
        phone_number_id,
        event_id,
        received_at,
        evidence_at,
        {{ bsuid_of(['user_id', 'wa_id']) }} as new_bsuid,
        nullif({{ bsuid_of(['previous_user_id', 'from_id', 'customer']) }}, new_bsuid) as old_bsuid,
        if(old_bsuid is not null and new_bsuid is not null, 4, 2) as strength,
        {{ parent_bsuid_of(['previous_parent_user_id']) }} as old_parent_bsuid,
        {{ parent_bsuid_of(['parent_user_id']) }} as new_parent_bsuid,
        {{ phone_of(['from_id', 'customer']) }} as old_phone,
        {{ phone_of(['wa_id']) }} as new_phone,
        -- Read only while it was all that named the old id, and only as the sentence of that event: the name is the
        -- user's to choose, and may stand anywhere in another one.
        case
            when
                system_type = 'user_changed_user_id'
                and evidence_at >= timestamp '{{ var('body_text_from') }}'
                and evidence_at < timestamp '{{ var('body_text_to') }}' + interval 1 day
                and coalesce(old_bsuid, old_phone) is null
                and new_bsuid is not null
                and regexp_full_match(body, 'User .+ changed from {{ bsuid_pattern() }} to {{ bsuid_pattern() }}')
                and len(regexp_extract_all(body, '\b{{ bsuid_pattern() }}\b')) = 2
                then regexp_extract_all(body, '\b{{ bsuid_pattern() }}\b')
        end as body_bsuids
    from system_messages
    where system_type in (
        'user_changed_number', 'customer_changed_number', 'user_changed_user_id'
    )

),

read_rotations as (

    select
        * exclude (body_bsuids),
        case when new_bsuid = body_bsuids[2] then body_bsuids[1] end as body_old_bsuid
    from rotations

),

updates as (

    select
        load_id,
        landing_file,
        line_number,
        waba_id,
        phone_number_id,
        event_id,
        received_at,
        evidence_at,
        3 as strength,
        {{ bsuid_of(['previous_user_id']) }} as old_bsuid,
        {{ parent_bsuid_of(['previous_parent_user_id']) }} as old_parent_bsuid,
        {{ parent_bsuid_of(['parent_user_id']) }} as new_parent_bsuid,
        null as old_phone,
        {{ phone_of(['wa_id', 'contact_wa_id']) }} as new_phone,
        {{ bsuid_of(['user_id', 'wa_id', 'contact_user_id', 'contact_wa_id']) }} as new_bsuid,
        null as body_old_bsuid,
        contact_username as username,
        contact_profile_name as profile_name
    from user_id_updates

),

unioned as (

    select * from read_rotations
    union all by name
    select * from updates

),

scoped as (

    select
        {{ portfolio_id_of('accounts', 'unioned') }} as portfolio_id,
        unioned.*,
        -- copies of one change name the same two sides
        case
            when coalesce(unioned.old_bsuid, unioned.body_old_bsuid) is not null
                and unioned.new_bsuid is not null
                then coalesce(unioned.old_bsuid, unioned.body_old_bsuid) || '>' || unioned.new_bsuid
            else
                coalesce(unioned.old_bsuid, unioned.old_phone, '?') || '>'
                || coalesce(unioned.new_phone, unioned.new_bsuid, '?')
        end as change_sides
    from unioned
    left join accounts on {{ owned_at('accounts', 'unioned') }}

),

final as (

    select
        *,
        {{ row_key(['portfolio_id', 'event_id']) }} as event_key
    from scoped

)

select * from final
