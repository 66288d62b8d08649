-- Stretches in which a customer's phone might vanish from webhooks: a username is worn, the phone still shows, no
-- contact book keeps it, and the last window closes within `window_closing_days` or has closed. The same as
-- window_closing and window_closed in int_customer__phone_status, for every day.
with

sightings as (

    select * from {{ ref('int_identity__customer_sighting') }}
    where phone is not null and observation_kind <> 'history'

),

attested as (

    select * from {{ ref('int_identity__attested_phone') }} where not is_void

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

history as (

    select * from {{ ref('int_customer__history') }}
    where username is not null and wa_id is not null

),

visibility as (

    select * from {{ ref('int_customer__phone_visibility') }} where not is_phone_shown

),

accounts as (

    select * from {{ ref('business_accounts') }}

),

-- Only who wears a username can be at risk.
shown as (

    select distinct
        customer_key,
        phone,
        evidence_at as shown_at
    from sightings
    semi join history using (customer_key)

),

-- Whoever shared their number themselves has given it for good.
attested_phones as (

    select distinct
        customer_nodes.customer_key,
        attested.phone
    from attested
    inner join customer_nodes
        on attested.portfolio_id = customer_nodes.portfolio_id
        and {{ bsuid_node('attested.bsuid') }} = customer_nodes.node_id

),

-- A window runs from one sighting of a phone to the next.
windows as (

    select
        customer_key,
        phone,
        shown_at + interval ({{ var('phone_window_days') - var('window_closing_days') }}) day as risk_from,
        coalesce(
            lead(shown_at) over (partition by customer_key, phone order by shown_at), {{ end_of_time() }}
        ) as risk_to
    from shown
    anti join attested_phones using (customer_key, phone)

),

-- A contact book nobody declared is not counted on.
contact_books as (

    select
        portfolio_id,
        min(contact_book_from) as contact_book_from,
        max(coalesce(contact_book_to, {{ end_of_time() }})) as contact_book_to
    from accounts
    where contact_book_from is not null
    group by portfolio_id

),

worn as (

    select
        history.island_id,
        history.portfolio_id,
        history.customer_key,
        greatest(windows.risk_from, history.valid_from) as risk_from,
        least(windows.risk_to, coalesce(history.valid_to, {{ end_of_time() }})) as risk_to
    from history
    inner join windows
        on history.customer_key = windows.customer_key
        and history.wa_id = windows.phone
        and windows.risk_from < windows.risk_to
        and windows.risk_from < coalesce(history.valid_to, {{ end_of_time() }})
        and windows.risk_to > history.valid_from

),

-- The risk is over when the phone is hidden, and does not begin while it is.
unhidden as (

    select
        worn.island_id,
        worn.portfolio_id,
        worn.customer_key,
        worn.risk_from,
        least(
            worn.risk_to,
            coalesce(min(visibility.valid_from) filter (where visibility.valid_from > worn.risk_from), {{ end_of_time() }})
        ) as risk_to
    from worn
    left join visibility on worn.customer_key = visibility.customer_key
    group by worn.island_id, worn.portfolio_id, worn.customer_key, worn.risk_from, worn.risk_to
    having
        coalesce(
            bool_and(
                not (
                    visibility.valid_from <= worn.risk_from
                    and coalesce(visibility.valid_to, {{ end_of_time() }}) > worn.risk_from
                )
            ),
            true
        )

),

final as (

    select
        unhidden.island_id,
        unhidden.portfolio_id,
        unhidden.customer_key,
        unhidden.risk_from as valid_from,
        nullif(unhidden.risk_to, {{ end_of_time() }}) as valid_to
    from unhidden
    left join contact_books using (portfolio_id)
    where
        unhidden.risk_from < unhidden.risk_to
        and not coalesce(
            unhidden.risk_from >= contact_books.contact_book_from
            and unhidden.risk_from < contact_books.contact_book_to,
            false
        )

)

select * from final
