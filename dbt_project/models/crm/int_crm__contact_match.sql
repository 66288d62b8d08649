-- Which customer a CRM contact is: by its BSUID, and by who holds or held its number.
with

contacts as (

    select * from {{ ref('int_crm__contact') }}

),

phones as (

    select * from {{ ref('int_phone__number') }}

),

identifiers as (

    select * from {{ ref('int_customer__identifier') }}
    {{- unless_quarantined() }}

),

customer_nodes as (

    select * from {{ ref('int_identity__resolved_node') }}
    {{- unless_quarantined() }}

),

held_phones as (

    select
        identifiers.portfolio_id,
        identifiers.customer_key,
        phones.match_key,
        bool_or(identifiers.valid_to is null) as is_current,
        max(identifiers.valid_from) as held_from
    from identifiers
    inner join phones
        on identifiers.identifier_value = phones.phone
        and phones.default_country is null
    where identifiers.identifier_type = 'phone'
    group by all

),

typed as (

    select
        contacts.*,
        phones.phone_e164,
        phones.match_key
    from contacts
    left join phones
        on contacts.phone = phones.phone
        and contacts.default_country = phones.default_country

),

by_phone as (

    select
        typed.crm_contact_id,
        arg_max(
            {'customer_key': held_phones.customer_key, 'is_current': held_phones.is_current},
            (held_phones.is_current, held_phones.held_from, held_phones.customer_key)
        ) as holder,
        count(distinct held_phones.customer_key) as holder_count
    from typed
    inner join held_phones
        on typed.portfolio_id = held_phones.portfolio_id
        and typed.match_key = held_phones.match_key
    group by all

),

by_bsuid as (

    select
        typed.crm_contact_id,
        min(customer_nodes.customer_key) as customer_key
    from typed
    inner join customer_nodes
        on typed.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('typed.bsuid') }} = customer_nodes.node_id
    group by all

),

by_username as (

    select
        typed.crm_contact_id,
        min(identifiers.customer_key) as customer_key
    from typed
    inner join identifiers
        on typed.portfolio_id = identifiers.portfolio_id
        and typed.username = identifiers.identifier_value
        and identifiers.identifier_type = 'username'
        and identifiers.valid_to is null
    group by all

),

stages as (

    select
        portfolio_id,
        customer_key,
        bool_or(node_kind = 'bsuid') as has_bsuid
    from customer_nodes
    group by all

),

found as (

    select
        typed.crm_contact_id,
        typed.portfolio_id,
        typed.phone as crm_phone,
        typed.phone_e164 as crm_phone_e164,
        typed.bsuid as crm_bsuid,
        by_phone.holder.customer_key as phone_customer_key,
        by_phone.holder.is_current as is_phone_current,
        by_phone.holder_count as phone_holder_count,
        by_bsuid.customer_key as bsuid_customer_key,
        by_username.customer_key as username_customer_key
    from typed
    left join by_phone on typed.crm_contact_id = by_phone.crm_contact_id
    left join by_bsuid on typed.crm_contact_id = by_bsuid.crm_contact_id
    left join by_username on typed.crm_contact_id = by_username.crm_contact_id

),

-- A username alone names nobody for sure: it is a hint, never a match. Nor does a number that went
-- from one customer to another: the CRM may mean either.
judged as (

    select
        found.*,
        coalesce(found.bsuid_customer_key, found.phone_customer_key) as matched_customer_key,
        case
            when found.bsuid_customer_key <> found.phone_customer_key then 'two_customers'
            when found.bsuid_customer_key is null and found.phone_customer_key is null
                then if(found.username_customer_key is null, 'nobody', 'username_only')
            when found.bsuid_customer_key is null and found.crm_bsuid is not null
                then 'unknown_bsuid'
            when found.bsuid_customer_key is null and found.phone_holder_count > 1
                then 'several_holders'
            when found.phone_customer_key is not null and not found.is_phone_current
                then 'left_number'
            when stages.has_bsuid then 'known_by_bsuid'
            else 'known_by_phone'
        end as finding
    from found
    left join stages
        on found.portfolio_id = stages.portfolio_id
        and coalesce(found.bsuid_customer_key, found.phone_customer_key) = stages.customer_key

),

worded as (

    select
        *,
        case finding
            when 'known_by_bsuid' then 'linked'
            when 'known_by_phone' then 'phone_only'
            when 'left_number' then 'stale_number'
            when 'nobody' then 'no_match'
            else 'ambiguous'
        end as verdict,
        case finding
            when 'known_by_bsuid' then 'one customer, known by BSUID'
            when 'known_by_phone' then 'one customer, known by the number only: no BSUID yet'
            when 'left_number' then 'the customer left this number'
            when 'nobody' then 'nobody in this portfolio was ever seen under this'
            when 'two_customers' then 'the BSUID and the number belong to two customers'
            when 'unknown_bsuid' then 'the number fits, but nobody here was ever seen with the BSUID'
            when 'several_holders' then 'several customers have held this number: ask which is meant'
            when 'username_only' then 'only the username fits, and a username can change hands'
        end as verdict_reason
    from judged

),

final as (

    select
        crm_contact_id,
        portfolio_id,
        crm_phone,
        crm_phone_e164,
        verdict,
        verdict_reason,
        case when verdict in ('linked', 'phone_only', 'stale_number') then matched_customer_key end
            as customer_key,
        phone_customer_key,
        bsuid_customer_key
    from worded

)

select * from final
