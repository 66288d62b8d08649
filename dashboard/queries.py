"""All SQL of the pages. Each query aggregates or limits: no page loads a whole table.

`$portfolio_id` null means all portfolios.
"""

PORTFOLIOS = "select distinct portfolio_id from marts.dim_customer order by portfolio_id limit 1000"

PUBLICATION = "select published_at, as_of, is_forced from marts.publication"

# --- Overview -------------------------------------------------------------------------------------

CUSTOMERS = """
select
    count(*) as customers,
    count(*) filter (where identity_stage = 'linked') as linked,
    count(*) filter (where username is not null) as with_username,
    count(*) filter (where username is not null and wa_id is not null) as at_risk,
    count(*) filter (where phone_status = 'hidden') as hidden,
    count(*) filter (where needs_review) as in_review
from marts.dim_customer
where $portfolio_id is null or portfolio_id = $portfolio_id
"""

BY_PHONE_STATUS = """
select phone_status, count(*) as customers
from marts.dim_customer
where $portfolio_id is null or portfolio_id = $portfolio_id
group by phone_status
order by customers desc, phone_status
"""

# Customers as the week ends, events of the whole week.
TRANSITION_WEEKLY = """
with days as (
    select
        *,
        date_trunc('week', activity_date)::date as week_date,
        activity_date = max(activity_date) over (partition by date_trunc('week', activity_date))
            as is_week_end
    from marts.fct_identity_transition_daily
    where $portfolio_id is null or portfolio_id = $portfolio_id
)
select
    week_date,
    sum(phone_only_customers) filter (where is_week_end) as phone_only,
    sum(linked_customers) filter (where is_week_end) as linked,
    sum(bsuid_only_customers) filter (where is_week_end) as bsuid_only,
    sum(username_customers) filter (where is_week_end) as with_username,
    sum(at_risk_customers) filter (where is_week_end) as at_risk,
    sum(phone_visible_messages) as phone_shown,
    sum(phone_hidden_messages) as phone_not_shown,
    sum(rotations) as rotations,
    sum(possible_missed_rotations) as possible_missed_rotations
from days
group by week_date
order by week_date desc
limit 104
"""

# --- Business numbers -----------------------------------------------------------------------------

# Shares of the 28 days up to the newest webhook; the windows are as of then.
READINESS = """
with recent as (
    select
        portfolio_id,
        phone_number_id,
        sum(message_count + status_count) as events,
        sum(bsuid_share * (message_count + status_count)) / events as bsuid_share,
        sum(parent_bsuid_share * (message_count + status_count)) / events as parent_bsuid_share,
        sum(username_share * (message_count + status_count)) / events as username_share,
        sum(phone_share * (message_count + status_count)) / events as phone_share
    from marts.bsp_readiness_daily
    where activity_date > (select as_of::date - 28 from marts.publication)
    group by all
),
numbers as (
    select
        portfolio_id,
        phone_number_id,
        min(first_bsuid_date) as first_bsuid_date,
        min(first_username_date) as first_username_date,
        max(activity_date) as last_active_date
    from marts.bsp_readiness_daily
    group by all
),
windows as (
    select
        portfolio_id,
        phone_number_id,
        count(*) as customers,
        count(*) filter (where phone_window_status = 'open') as open_windows,
        count(*) filter (where phone_window_status = 'closing') as closing_windows,
        count(*) filter (where phone_window_status = 'closed') as closed_windows
    from marts.bridge_customer_business_number
    group by all
)
select
    numbers.phone_number_id,
    numbers.portfolio_id,
    case
        when recent.events is null then 'quiet'
        when recent.bsuid_share >= 0.99 then 'ready'
        when recent.bsuid_share > 0 then 'partly'
        else 'not_ready'
    end as readiness,
    coalesce(recent.events, 0) as events,
    recent.bsuid_share,
    recent.parent_bsuid_share,
    recent.username_share,
    recent.phone_share,
    numbers.first_bsuid_date,
    numbers.first_username_date,
    numbers.last_active_date,
    coalesce(windows.customers, 0) as customers,
    coalesce(windows.open_windows, 0) as open_windows,
    coalesce(windows.closing_windows, 0) as closing_windows,
    coalesce(windows.closed_windows, 0) as closed_windows
from numbers
left join recent using (portfolio_id, phone_number_id)
left join windows using (portfolio_id, phone_number_id)
where $portfolio_id is null or numbers.portfolio_id = $portfolio_id
order by events desc, phone_number_id
limit 500
"""

READINESS_WEEKLY = """
select
    date_trunc('week', activity_date)::date as week_date,
    sum(bsuid_share * (message_count + status_count)) / sum(message_count + status_count)
        as bsuid_share,
    sum(phone_share * (message_count + status_count)) / sum(message_count + status_count)
        as phone_share,
    sum(username_share * (message_count + status_count)) / sum(message_count + status_count)
        as username_share
from marts.bsp_readiness_daily
where portfolio_id = $portfolio_id and phone_number_id = $phone_number_id
group by week_date
order by week_date desc
limit 104
"""

# --- Customer -------------------------------------------------------------------------------------

NAMES = """
select customer_key, portfolio_id, profile_name, identity_stage
from marts.dim_customer
where customer_key in (select unnest($customer_keys))
"""

# Every message with what the customer went by when it was exchanged.
MESSAGES = """
with messages as (
    select * from marts.fct_message
    where customer_key = $customer_key
    order by occurred_at desc, message_id
    limit 500
),
history as (
    select * from marts.dim_customer_history where customer_key = $customer_key
)
select
    messages.occurred_at,
    messages.direction,
    messages.message_type,
    history.bsuid,
    history.wa_id,
    history.username,
    case
        when messages.failed_at is not null then 'failed'
        when messages.read_at is not null then 'read'
        when messages.delivered_at is not null then 'delivered'
        when messages.sent_at is not null then 'sent'
    end as delivery,
    messages.phone_number_id,
    messages.message_id
from messages
asof left join history on messages.occurred_at >= history.valid_from
order by messages.occurred_at desc, messages.message_id
"""

WINDOWS = """
select phone_number_id, phone_window_status, phone_last_seen_at, phone_window_closes_at,
    last_seen_at
from marts.bridge_customer_business_number
where customer_key = $customer_key
order by last_seen_at desc
limit 100
"""

# --- Review queue ---------------------------------------------------------------------------------

REVIEW_KINDS = """
select kind, count(*) as questions
from marts.identity_review
where $portfolio_id is null or portfolio_id = $portfolio_id
group by kind
order by questions desc, kind
"""

REVIEW_FILTER = """
from marts.identity_review
where ($portfolio_id is null or portfolio_id = $portfolio_id)
    and (len($kinds) = 0 or kind in (select unnest($kinds)))
    and score >= $least_score
    and (
        $text = ''
        or contains(lower(concat_ws(' ', left_value, right_value, subject)), lower($text))
        or $text in (left_customer_key, right_customer_key)
    )
"""

REVIEW_COUNT = f"select count(*) as questions {REVIEW_FILTER}"

REVIEW = f"select * {REVIEW_FILTER} order by score desc, last_seen_at desc, review_id limit 500"

# --- Phone capture --------------------------------------------------------------------------------

CAPTURE_REASONS = """
select capture_reason, count(*) as customers
from marts.phone_capture_worklist
where $portfolio_id is null or portfolio_id = $portfolio_id
group by capture_reason
"""

CAPTURE = """
select priority, profile_name, username, current_bsuid, capture_reason, ask_before,
    last_inbound_at, inbound_message_count, marketing_opt_out, portfolio_id, customer_key
from marts.phone_capture_worklist
where ($portfolio_id is null or portfolio_id = $portfolio_id)
    and (len($reasons) = 0 or capture_reason in (select unnest($reasons)))
    and ($with_opted_out or not coalesce(marketing_opt_out, false))
order by priority, portfolio_id
limit $most
"""

# --- CRM audit ------------------------------------------------------------------------------------

CRM_VERDICTS = """
select verdict, count(*) as contacts
from marts.crm_contact_audit
where $portfolio_id is null or portfolio_id = $portfolio_id
group by verdict
order by contacts desc, verdict
"""

CRM = """
select crm_contact_id, portfolio_id, crm_phone, verdict, verdict_reason, current_phone_e164,
    current_bsuid, current_username, phone_status, marketing_opt_out, customer_key
from marts.crm_contact_audit
where ($portfolio_id is null or portfolio_id = $portfolio_id)
    and (len($verdicts) = 0 or verdict in (select unnest($verdicts)))
    and ($text = '' or contains(lower(concat_ws(' ', crm_contact_id, crm_phone)), lower($text)))
order by crm_contact_id
limit $most
"""
