-- What the published file holds beside the marts: look-ups, functions, and words for what dbt does not describe.
-- Run in it by publish.py once its tables stand. Names of parameters are no names of columns.

-- A phone's digits under which the two ways that WhatsApp writes one mobile in three countries are equal: Brazil's
-- ninth digit, Mexico's 521, Argentina's 549 (as int_phone__number has it).
create macro lookup.phone_key(digits) as
case
    when regexp_full_match(digits, '55[0-9]{2}[6-9][0-9]{7}') then digits[:4] || '9' || digits[5:]
    when regexp_full_match(digits, '521[0-9]{10}') then '52' || digits[4:]
    when regexp_full_match(digits, '549[0-9]{10}') then '54' || digits[4:]
    else digits
end;

-- What an identifier is found by: a number, as DuckDB skips what it need not read by the first eight letters of a
-- text only, and all phones of a country begin alike.
create macro lookup.key_hash(kind, match_key) as md5_number_lower(kind || ':' || match_key);

-- The digits of a phone however it is written: '+55 (11) 90000-0028', '0055 11…', '5511…@s.whatsapp.net'.
create macro lookup.digits(spelling) as
regexp_replace(regexp_replace(regexp_replace(spelling, '[:@].*$', ''), '[^0-9]', '', 'g'), '^00', '');

-- Of an unknown kind, only what looks like a phone is read as one: the username ana5511 is none.
create macro lookup.is_phone(kind, spelling) as
case
    when kind is null then regexp_full_match(spelling, '[0-9 +().\-/]+(:[0-9]+)?(@s\.whatsapp\.net)?')
    else kind = 'phone'
end;

create table lookup.identifier as
select
    lookup.key_hash(
        identifier_type,
        case when identifier_type = 'phone' then lookup.phone_key(identifier_value) else identifier_value end
    ) as key_hash,
    portfolio_id,
    identifier_type,
    identifier_value,
    customer_key,
    valid_from,
    valid_to,
    link_rule,
    evidence_tier,
    evidence_event_id
from marts.dim_customer_identifier
order by key_hash;

-- What a text may stand for, the likeliest first. A text of BSUID shape is a BSUID whatever it is called (R4), a phone is
-- complete before it is one of the portfolio's countries without its code. Null asks for every kind and portfolio.
create macro lookup.reading(portfolio, kind, spelling) as table
select 1 as preference, 'bsuid' as identifier_type, lookup.key_hash('bsuid', trim(spelling)) as key_hash
where regexp_full_match(trim(spelling), '[A-Z]{2}\.[A-Za-z0-9]{1,128}')
union all
select 1, 'parent_bsuid', lookup.key_hash('parent_bsuid', trim(spelling))
where regexp_full_match(trim(spelling), '[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}')
union all
select 2, 'username', lookup.key_hash('username', lower(ltrim(trim(spelling), '@')))
where coalesce(kind, 'username') = 'username'
union all
select 2, 'phone', lookup.key_hash('phone', lookup.phone_key(lookup.digits(spelling)))
where lookup.is_phone(kind, spelling)
union all
select distinct 3, 'phone', lookup.key_hash('phone', lookup.phone_key(calling_code || ltrim(lookup.digits(spelling), '0')))
from lookup.calling_code
where lookup.is_phone(kind, spelling) and portfolio_id = coalesce(portfolio, portfolio_id);

-- Every interval in which somebody held what a text may stand for.
create macro lookup.holder(portfolio, kind, spelling) as table
select
    reading.preference,
    -- of two spellings of one line, the one that was asked for
    held.identifier_value <> lookup.digits(spelling) and held.identifier_type = 'phone' as is_variant,
    held.* exclude (key_hash)
from lookup.identifier as held
inner join lookup.reading(portfolio, kind, spelling) as reading using (key_hash, identifier_type)
where held.portfolio_id = coalesce(portfolio, held.portfolio_id);

-- Who held this identifier then: from marts.customer_at('<portfolio>', 'phone', '+55 11 90000-0028', '2026-05-20')
create macro marts.customer_at(portfolio, kind, identifier, moment) as table
select
    customer_key,
    identifier_value,
    valid_from,
    valid_to,
    link_rule,
    evidence_tier,
    evidence_event_id
from lookup.holder(portfolio, kind, identifier)
where
    valid_from <= moment::timestamp
    and (valid_to is null or valid_to > moment::timestamp)
qualify rank() over (order by preference, is_variant) = 1;

-- The conversation with whoever holds an identifier, else held it last: each message of this one customer once.
create macro marts.conversation(portfolio, kind, identifier) as table
select *
from marts.fct_message
where customer_key = (
    select customer_key
    from lookup.holder(portfolio, kind, identifier)
    order by
        preference,
        valid_to is not null,
        is_variant,
        valid_from desc,
        customer_key
    limit 1
)
order by occurred_at, message_id;

comment on table marts.publication is 'One row: this version of the published tables.';
comment on column marts.publication.publish_id is 'Name of the version: its folder in PUBLISH_DIR/versions.';
comment on column marts.publication.published_at is 'When it was published (UTC).';
comment on column marts.publication.as_of is 'Newest webhook that is in it (UTC): whatever depends on today is as of then.';
comment on column marts.publication.is_forced is 'A person let it through the gate (FORCE=1).';

comment on table marts.identity_change_log is
'Grain: one row per customer that a publish changed. What each publish changed since the first.';
comment on column marts.identity_change_log.publish_id is 'The publish that brought the change.';
comment on column marts.identity_change_log.published_at is 'When that was (UTC).';
comment on column marts.identity_change_log.change is
'merged (two customers became one), split (one became several), rekeyed (older evidence moved the key), vanished (none of its identifiers leads to a customer any more) or forced (a person let the publish through the gate; detail says what it had against it).';
comment on column marts.identity_change_log.portfolio_id is 'Portfolio of the customer; null for vanished and forced.';
comment on column marts.identity_change_log.customer_key is 'The customer after the change; null for vanished and forced.';
comment on column marts.identity_change_log.former_customer_key is 'The customer before the change; null for forced.';
comment on column marts.identity_change_log.link_rule is 'Rule of the newest link of the customer after the change (R1 to R11).';
comment on column marts.identity_change_log.evidence_event_id is 'Event that is the evidence of this link.';
comment on column marts.identity_change_log.detail is 'How the rule came to it; for forced, what the gate had against it.';

comment on table lookup.identifier is
'Every identifier ever held, to be found fast in any spelling: marts.customer_at and marts.conversation read it.';
comment on table lookup.calling_code is 'Calling codes of the countries of each portfolio''s customers, for phones without one.';
comment on table gate.customer_node is 'What the next publish is compared with (R12): the nodes of each customer.';
comment on table gate.made_from is
'The run of the warehouse that this was made from, and how many messages lie out of order since: see continued.py.';
comment on table gate.published_key is 'Copy of the ledger: every key ever published, with the observation it was made from (R10).';
comment on table gate.publication is 'Copy of the ledger: every publish.';
comment on macro table marts.customer_at is
'Who held an identifier at a moment (UTC). kind: phone (in any spelling), bsuid, parent_bsuid or username.';
comment on macro table marts.conversation is
'The messages of the one customer who holds an identifier, else held it last, each once, by time.';
