-- The business's own numbers, as webhooks show them: the newest display number, and the account it is under now.
with

items as (

    select * from {{ ref('stg_whatsapp__item') }}

),

activity as (

    select * from {{ ref('int_identity__activity') }}

),

accounts as (

    select * from {{ ref('int_identity__waba_portfolio') }}

),

shown as (

    select
        waba_id,
        phone_number_id,
        display_phone_number,
        min(received_at) as evidence_at
    from items
    where phone_number_id is not null
    group by waba_id, phone_number_id, display_phone_number

),

in_portfolio as (

    select
        {{ portfolio_id_of('accounts', 'shown') }} as portfolio_id,
        shown.*
    from shown
    left join accounts on {{ owned_at('accounts', 'shown') }}

),

named as (

    select
        portfolio_id,
        phone_number_id,
        arg_max(waba_id, (evidence_at, waba_id)) as waba_id,
        arg_max(display_phone_number, (evidence_at, display_phone_number))
            filter (where display_phone_number is not null) as display_phone_number,
        min(evidence_at) as first_shown_at
    from in_portfolio
    group by portfolio_id, phone_number_id

),

dealt as (

    select
        portfolio_id,
        phone_number_id,
        min(first_received_at) as first_seen_at,
        max(newest_received_at) as last_seen_at
    from activity
    group by portfolio_id, phone_number_id

),

final as (

    select
        named.portfolio_id,
        named.phone_number_id,
        named.waba_id,
        named.display_phone_number,
        coalesce(dealt.first_seen_at, named.first_shown_at) as first_seen_at,
        coalesce(dealt.last_seen_at, named.first_shown_at) as last_seen_at
    from named
    left join dealt
        on named.portfolio_id = dealt.portfolio_id
        and named.phone_number_id = dealt.phone_number_id

)

select * from final
