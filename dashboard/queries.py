"""All SQL of the pages. Each query aggregates or limits: no page loads a whole table.

`$portfolio_id` null means all portfolios.
"""

PORTFOLIOS = "select distinct portfolio_id from marts.dim_customer order by portfolio_id limit 1000"

# A portfolio is called as its first account is.
BUSINESS_NUMBERS = """
select
    portfolio_id,
    phone_number_id,
    coalesce(
        first_value(business_name ignore nulls)
            over (partition by portfolio_id order by waba_id, phone_number_id
                rows between unbounded preceding and unbounded following),
        portfolio_id
    ) as business,
    coalesce(
        nullif(concat_ws(' ', business_name, display_phone_number), ''), phone_number_id
    ) as business_number
from marts.dim_business_number
order by portfolio_id, phone_number_id
limit 10000
"""

PUBLICATION = "select published_at, as_of, is_forced from marts.publication"

# What a text is found by where it is read as a phone, in any spelling.
PHONE_KEYS = "select distinct key_hash from lookup.reading(null, 'phone', $text) where identifier_type = 'phone'"

# --- Overview -------------------------------------------------------------------------------------

CUSTOMERS = """
select
    count(*) as customers,
    count(*) filter (where identity_stage = 'phone_only') as phone_only,
    count(*) filter (where identity_stage = 'linked') as linked,
    count(*) filter (where identity_stage = 'bsuid_only') as bsuid_only,
    count(*) filter (where username is not null) as with_username,
    count(*) filter (where phone_status in ('window_closing', 'window_closed')) as at_risk,
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

# The seven days up to the newest webhook and the seven before; customers as either ends.
LAST_WEEKS = """
with days as (
    select
        *,
        (select as_of::date from marts.publication) - activity_date as age
    from marts.fct_identity_transition_daily
    where $portfolio_id is null or portfolio_id = $portfolio_id
),
weeks as (
    select age // 7 as weeks_ago, * from days where age between 0 and 13
)
select
    weeks_ago,
    sum(phone_only_customers + linked_customers + bsuid_only_customers)
        filter (where age % 7 = 0) as customers,
    sum(linked_customers) filter (where age % 7 = 0) as linked,
    sum(username_customers) filter (where age % 7 = 0) as with_username,
    sum(at_risk_customers) filter (where age % 7 = 0) as at_risk,
    sum(phone_hidden_messages) as hidden_messages,
    sum(phone_visible_messages + phone_hidden_messages) as messages
from weeks
group by weeks_ago
order by weeks_ago
"""

DAYS = "select min(activity_date) as first_day, max(activity_date) as last_day from marts.fct_identity_transition_daily"

# Customers as the week ends, events of the whole week.
TRANSITION_WEEKLY = """
with days as (
    select
        *,
        date_trunc('week', activity_date)::date as week_date,
        activity_date = max(activity_date) over (partition by date_trunc('week', activity_date))
            as is_week_end
    from marts.fct_identity_transition_daily
    where
        ($portfolio_id is null or portfolio_id = $portfolio_id)
        and activity_date between $first_day and $last_day
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

TASKS = """
select
    (
        select count(*) from marts.phone_capture_worklist
        where $portfolio_id is null or portfolio_id = $portfolio_id
    ) as to_ask,
    (
        select count(*) from marts.phone_capture_worklist
        where ($portfolio_id is null or portfolio_id = $portfolio_id)
            and ask_before < (select as_of from marts.publication) + interval 7 days
    ) as to_ask_soon,
    (
        select count(*) from marts.identity_review
        where ($portfolio_id is null or portfolio_id = $portfolio_id)
            and last_seen_at > (select as_of from marts.publication) - interval 7 days
    ) as new_questions
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
select customer_key, portfolio_id, profile_name, username, wa_id, identity_stage, last_inbound_at
from marts.dim_customer
where customer_key in (select unnest($customer_keys))
"""

# Every word is a part of the name, or the text is a part of the username. Who begins so comes first.
SEARCH = """
with found as (
    select customer_key, last_seen_at, strip_accents(lower(profile_name)) as name, username
    from marts.dim_customer
    where ($portfolio_id is null or portfolio_id = $portfolio_id)
        and (
            (
                contains(strip_accents(lower(profile_name)), $word0)
                and contains(strip_accents(lower(profile_name)), $word1)
                and contains(strip_accents(lower(profile_name)), $word2)
                and contains(strip_accents(lower(profile_name)), $word3)
                and contains(strip_accents(lower(profile_name)), $word4)
            )
            or ($word1 = '' and contains(username, ltrim($word0, '@')))
        )
)
select customer_key
from found
order by
    coalesce(starts_with(name, $word0), false) desc,
    coalesce(contains(name, ' ' || $word0), false) desc,
    last_seen_at desc,
    customer_key
limit $most
"""

UNASSIGNED = (
    "select unassigned_reason from marts.fct_message where message_id = $message_id limit 1"
)

# What a customer went by on a day, up to its end.
THEN = """
select bsuid, wa_id, username
from marts.dim_customer_history
where customer_key = $customer_key and valid_from < $day + interval 1 day
order by valid_from desc
limit 1
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
    messages.delivery_status,
    messages.phone_number_id,
    history.wa_id,
    history.bsuid,
    history.username,
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

# A phone is compared in whole: by parts, a masked one could be guessed digit by digit. So nothing
# with a digit is looked for within a name either ($by_part), unless phones are shown.
REVIEW_FILTER = """
with called as (
    select customer_key from marts.dim_customer
    where $by_part and $text <> '' and contains(strip_accents(lower(profile_name)), $text)
),
questions as (
    select * from marts.identity_review
    where ($portfolio_id is null or portfolio_id = $portfolio_id)
        and (len($kinds) = 0 or kind in (select unnest($kinds)))
        and not list_contains($hidden, review_id)
        and (
            $text = ''
            or $text in (
                left_customer_key, right_customer_key, lower(left_value), lower(right_value),
                lower(subject)
            )
            or (
                len($phones) > 0
                and list_has_any(
                    [
                        lookup.key_hash('phone', lookup.phone_key(left_value)),
                        lookup.key_hash('phone', lookup.phone_key(right_value)),
                        lookup.key_hash('phone', lookup.phone_key(subject))
                    ],
                    $phones::ubigint[]
                )
            )
            or ($by_part and contains(lower(subject), $text))
            or left_customer_key in (select customer_key from called)
            or right_customer_key in (select customer_key from called)
        )
)
"""

REVIEW_COUNT = f"{REVIEW_FILTER} select count(*) as questions from questions"

REVIEW = f"""
{REVIEW_FILTER},
first as (
    select * from questions
    order by override_row is null, score desc, last_seen_at desc, review_id
    limit 500
)
select first.*, one.profile_name as left_name, other.profile_name as right_name
from first
left join marts.dim_customer as one on first.left_customer_key = one.customer_key
left join marts.dim_customer as other on first.right_customer_key = other.customer_key
order by override_row is null, score desc, last_seen_at desc, review_id
"""

# The questions that rows of identity_overrides.csv answer, either side named first.
REVIEW_ANSWERED = """
select review_id from marts.identity_review
where
    list_contains(
        $pairs, concat_ws('|', portfolio_id, left_type, left_value, right_type, right_value)
    )
    or list_contains(
        $pairs, concat_ws('|', portfolio_id, right_type, right_value, left_type, left_value)
    )
"""

# As they are, to be written into identity_overrides.csv or looked up.
REVIEW_RAW = """
select review_id, portfolio_id, left_type, left_value, left_at, right_type, right_value, right_at,
    evidence_event_id, override_row
from marts.identity_review
where list_contains($review_ids, review_id)
"""

# Both sides of a question: who they are today.
SIDES = """
select customer_key, profile_name, inbound_message_count, outbound_message_count, last_inbound_at
from marts.dim_customer
where customer_key in (select unnest($customer_keys))
"""

HELD = """
select customer_key, identifier_type, identifier_value, valid_from, valid_to
from marts.dim_customer_identifier
where customer_key in (select unnest($customer_keys))
order by valid_from desc, identifier_type, identifier_value
limit 40
"""

# --- Phone capture --------------------------------------------------------------------------------

CAPTURE_REASONS = """
select capture_reason, count(*) as customers
from marts.phone_capture_worklist
where $portfolio_id is null or portfolio_id = $portfolio_id
group by capture_reason
order by customers desc, capture_reason
"""

CAPTURE = """
select customer_key, profile_name, username, capture_reason, ask_before, ask_from_phone_number_id,
    marketing_opt_out, last_inbound_at, inbound_message_count, current_bsuid, portfolio_id
from marts.phone_capture_worklist
where ($portfolio_id is null or portfolio_id = $portfolio_id)
    and (len($reasons) = 0 or capture_reason in (select unnest($reasons)))
    and ($with_opted_out or not coalesce(marketing_opt_out, false))
order by priority, portfolio_id, customer_key
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

# The phone in whole, as REVIEW_WHERE does.
CRM = """
select crm_contact_id, crm_phone, verdict, verdict_reason, current_phone_e164, current_username,
    phone_status, marketing_opt_out, current_bsuid, portfolio_id, customer_key
from marts.crm_contact_audit
where ($portfolio_id is null or portfolio_id = $portfolio_id)
    and (len($verdicts) = 0 or verdict in (select unnest($verdicts)))
    and (
        $text = ''
        or contains(lower(crm_contact_id), lower($text))
        or ($digits <> '' and regexp_replace(crm_phone, '[^0-9]', '', 'g') = $digits)
        or list_contains(
            $phones::ubigint[],
            lookup.key_hash('phone', lookup.phone_key(lookup.digits(crm_phone_e164)))
        )
    )
order by crm_contact_id
limit $most
"""
