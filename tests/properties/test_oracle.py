"""What payloads show, whose messages are, and the properties of the oracle."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import generator, wire
from .oracle import Variables, resolve
from .oracle.events import by_portfolio, read_events
from .stories import (
    ACCOUNTS,
    P1,
    P2,
    PORTFOLIO,
    A,
    B,
    claims,
    customer_with,
    customers,
    groups,
    kinds,
    of_message,
    rules,
    solve,
)


def test_a_message_is_one_under_all_wabas_of_its_portfolio():
    accounts = [*ACCOUNTS, {"waba_id": "2", "portfolio_id": PORTFOLIO}]
    moved = {"waba": "2", "number": "3"}
    result = solve(
        wire.status("2026-07-01", "sent", phone=P1, id="wamid.1"),
        wire.status("2026-07-02", "read", phone=P1, bsuid=A, id="wamid.1", **moved),
        wire.message("2026-07-03", phone=P1, bsuid=A, id="wamid.2"),
        wire.message("2026-07-03", phone=P1, bsuid=A, id="wamid.2", **moved),
        accounts=accounts,
    )
    assert groups(result) == customers({A})
    assert len(result.message_customer) == 2
    assert claims(result) == [(P1, A, "07-01", None, None)], "dated at the first status"


def test_a_message_without_an_id_is_one_whatever_its_contact_shows():
    story = [
        wire.message("2026-07-01", bsuid=A, name="Eva Rossi", id=""),
        wire.message("2026-07-01", bsuid=A, name="Eva R.", id="", received="2026-07-02"),
    ]
    (events,) = by_portfolio(read_events(story), ACCOUNTS).values()
    assert [event.contacts[0]["profile"]["name"] for event in events] == ["Eva Rossi"]
    result = solve(*story)
    assert groups(result) == customers({A})
    assert not result.message_customer, "only a message with an id is a row"


def test_values_are_classified_by_shape():
    result = solve(
        wire.message("2026-07-01", phone=A, id="wamid.slot"),
        wire.message("2026-07-02", phone="", bsuid=B, id="wamid.empty"),
        wire.message("2026-07-03", bsuid="foo_bar", phone=P1, id="wamid.bad"),
        wire.message("2026-07-04", bsuid="foo_bar", id="wamid.none"),
    )
    assert groups(result) == customers({A}, {B}, {f"{P1}@07-03"})
    assert of_message(result, "wamid.none") == "no_identifier"
    assert "malformed_identifier" in kinds(result)


def test_a_phone_may_be_written_with_a_plus_or_as_an_address():
    result = solve(
        wire.message("2026-07-01", phone=P1, bsuid=A),
        wire.message("2026-07-02", phone=f"+{P1}", id="wamid.plus"),
        wire.message("2026-07-03", phone=f"{P1}@s.whatsapp.net", id="wamid.address"),
        wire.message("2026-07-04", phone=f"{P1}@g.us", id="wamid.group"),
    )
    assert groups(result) == customers({A})
    assert of_message(result, "wamid.address") == of_message(result, "wamid.plus")
    assert of_message(result, "wamid.group") == "no_identifier"


def test_what_was_sent_to_another_spelling_is_that_of_the_one_known_phone():
    old, new = "552187650003", "5521987650003"
    echo = wire.echo("2026-07-01", phone=old, id="wamid.echo")
    paired = wire.message("2026-07-02", phone=new, bsuid=A, id="wamid.1")
    result = solve(echo, paired)
    assert of_message(result, "wamid.echo") == of_message(result, "wamid.1")
    wrote = wire.message("2026-07-03", phone=old, id="wamid.2")
    assert of_message(solve(echo, paired, wrote), "wamid.2") != of_message(result, "wamid.1")
    assert (
        len(solve(echo, wire.message("2026-07-02", phone="552137650003", bsuid=A)).customers) == 2
    )


def test_the_only_contact_is_not_that_of_another_item():
    held = wire.message("2026-07-01", phone=P1, bsuid=A, id="wamid.held")
    delivered = wire.status("2026-07-02", bsuid=B, name="Bo", contact=True, id="wamid.ok")
    failed = wire.status("2026-07-02", "failed", phone=P1, id="wamid.failed")
    batch = copy.deepcopy(delivered)
    value = batch["body"]["entry"][0]["changes"][0]["value"]
    value["statuses"] += failed["body"]["entry"][0]["changes"][0]["value"]["statuses"]
    result = solve(held, batch)
    assert claims(result) == [(P1, A, "07-01", None, None)]
    assert of_message(result, "wamid.failed") == customer_with(result, A)
    alone = copy.deepcopy(failed)
    alone["body"]["entry"][0]["changes"][0]["value"]["contacts"] = value["contacts"]
    assert claims(solve(held, alone)) == claims(result), "not even of the only item"


@pytest.mark.parametrize(("given", "acted"), [(P1, True), (wire.DISPLAY, False)])
def test_a_call_without_direction_is_whose_it_is_from(given, acted):
    recorded = wire.call("2026-01-01", phone=P1, event="call_recording_available", directed=False)
    item = recorded["body"]["entry"][0]["changes"][0]["value"]["calls"][0]
    item["from"], item["to"] = given, P1
    result = solve(recorded, wire.message("2026-04-01", phone=P1, bsuid=A))
    assert rules(result) == (["R5"] if acted else [])


def test_failed_statuses_reach_nobody_but_follow_the_holder():
    result = solve(
        wire.status("2026-07-01", "failed", phone=P1, id="wamid.nobody"),
        wire.message("2026-07-01", phone=P2, bsuid=A),
        wire.status("2026-07-02", "failed", phone=P2, id="wamid.holder"),
    )
    assert groups(result) == customers({A})
    assert of_message(result, "wamid.nobody") == "never_reached"
    assert of_message(result, "wamid.holder") == customer_with(result, A)


def test_own_numbers_and_ignored_identifiers_are_nobody():
    result = solve(
        wire.message("2026-07-01", phone=wire.DISPLAY, id="wamid.own"),
        wire.message("2026-07-01", phone=P1, id="wamid.ignored"),
        ignored=(P1,),
    )
    assert not result.customers
    assert set(result.message_customer.values()) == {"ignored"}


def test_group_sends_have_no_customer_but_show_their_participants():
    members = [{"bsuid": A, "phone": P1, "name": "Ana"}, {"bsuid": B, "username": "bo"}]
    result = solve(wire.group_status("2026-07-01", "read", members, id="wamid.group"))
    assert of_message(result, "wamid.group") == "group_send"
    assert groups(result) == customers({A}, {B})
    assert claims(result) == [(P1, A, "07-01", None, None)]


def test_a_group_status_has_older_names_and_dates_of_its_own():
    members = [{"bsuid": A, "phone": P1}, {"bsuid": B, "phone": P2}]
    old = wire.group_status("2026-07-01", "read", members, id="wamid.group", older_names=True)
    assert groups(solve(old)) == customers({A}, {B})
    later = wire.group_status("2026-07-05", "read", members[1:], id="wamid.group")
    first = wire.group_status("2026-07-01", "read", members[:1], id="wamid.group")
    assert {claim[0]: claim[2] for claim in claims(solve(first, later))} == {
        P1: "07-01",
        P2: "07-05",
    }


def test_every_field_shows_identifiers():
    result = solve(
        wire.message("2026-07-01", bsuid="BR.1", field="standby"),
        wire.echo("2026-07-01", bsuid="BR.2"),
        wire.history("2025-07-01", "2026-07-01", bsuid="BR.3"),
        wire.state_sync("2026-07-01", bsuid="BR.4"),
        wire.call("2026-07-01", bsuid="BR.5"),
        wire.call("2026-07-01", bsuid="BR.6", outbound=True),
        wire.group_participants("2026-07-01", [{"bsuid": "BR.7"}]),
        wire.user_preferences("2026-07-01", bsuid="BR.8"),
        wire.status("2026-07-01", "sent", bsuid="BR.9", id="wamid.9"),
        wire.owner_of_waba("2026-07-01", wire.WABA, "1"),
    )
    assert groups(result) == {frozenset({f"BR.{n}"}) for n in range(1, 10)}
    assert len(result.message_customer) == 4


def test_a_standby_copy_is_the_same_message():
    story = {"bsuid": A, "phone": P1, "id": "wamid.1"}
    result = solve(
        wire.message("2026-07-01", **story),
        wire.message("2026-07-01", **story, field="standby", received="2026-07-02"),
    )
    assert len(result.message_customer) == 1


def test_a_wrong_clock_is_replaced_by_the_receipt():
    result = solve(
        wire.message("2026-07-01", phone=P1, bsuid=A, timestamp="1999999999"),
        wire.message("2026-07-02", phone=P2, bsuid=B, timestamp="soon"),
    )
    assert [claim[2] for claim in claims(result)] == ["07-01", "07-02"]


# --- Properties of the oracle -------------------------------------------------------------------

QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SEEDS = st.integers(0, 2**32 - 1)


@QUICK
@given(generator.cases(), SEEDS)
def test_arrival_duplicates_and_batches_change_nothing(case, seed):
    placed, rng = generator.place(case, 1), random.Random(seed)
    plain = resolve(placed.records, placed.business_accounts)
    runs = generator.split_runs(placed.records, rng)
    for other in (
        generator.permute(placed.records, rng),
        generator.duplicate(placed.records, rng),
        generator.rebatch(placed.records, rng),
        generator.deliver_elsewhere(placed.records, placed.business_accounts, rng),
        [one for run in runs for one in run],
    ):
        assert resolve(other, placed.business_accounts) == plain


@QUICK
@given(generator.cases(max_events=12), generator.cases(max_events=12), SEEDS)
def test_portfolios_are_isolated(left, right, seed):
    one, two = generator.place(left, 1), generator.place(right, 2)
    accounts = one.business_accounts + two.business_accounts
    both = resolve(generator.permute(one.records + two.records, random.Random(seed)), accounts)
    for placed in (one, two):
        alone = resolve(placed.records, placed.business_accounts)
        mine = both.only(placed.portfolio_id, f"{placed.portfolio_id}-before")
        assert mine.partition() == alone.partition()
        assert (mine.links, mine.claims, mine.leases) == (alone.links, alone.claims, alone.leases)
        assert mine.message_customer == alone.message_customer
        assert mine.reviews == alone.reviews and mine.holder_changed == alone.holder_changed


def test_many_cases_fit_in_one_build():
    cases = generator.sample(60, seed=3)
    assert cases == generator.sample(60, seed=3)
    assert len({str(case) for case in cases}) == len(cases)
    placed = [generator.place(case, index) for index, case in enumerate(cases)]
    records = [one for case in placed for one in case.records]
    accounts = [row for case in placed for row in case.business_accounts]
    whole = resolve(records, accounts)
    assert not any(kind == "unmapped_waba" for _, kind, _ in whole.reviews)
    alone = [resolve(case.records, case.business_accounts) for case in placed]
    assert len(whole.customers) == sum(len(one.customers) for one in alone), "no key is shared"
    assert {rule for *_, rule in whole.links} >= {"R2", "R5"}


@QUICK
@given(generator.cases(), SEEDS)
def test_without_evidence_nothing_is_linked(case, seed):
    placed = generator.place(case, 1)
    bare = generator.strip_evidence(placed.records, random.Random(seed))
    result = resolve(bare, placed.business_accounts)
    assert not result.links and not result.claims


@QUICK
@given(generator.cases())
def test_invariants(case):
    placed = generator.place(case, 1)
    result = resolve(placed.records, placed.business_accounts)
    nodes = [(at, node) for at, group in result.partition() for node in group]
    assert len(nodes) == len(set(nodes)), "a node has one customer"
    held: dict[tuple[str, str], list] = {}
    for portfolio, phone, _, start, end, reason in result.claims:
        assert (end is None) == (reason is None)
        held.setdefault((portfolio, phone), []).append((start, end))
    for spans in held.values():
        spans = sorted(spans, key=lambda span: span[0])
        assert all(end is None or start < end for start, end in spans), "a claim has a length"
        for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
            assert end is not None and end <= start, "claims on a phone do not overlap"
    reasons = {"group_send", "no_identifier", "holder_uncertain", "never_reached", "ignored"}
    assert set(result.message_customer.values()) <= reasons | result.customers.keys()


@QUICK
@given(generator.cases(), st.data())
def test_an_override_taken_out_leaves_no_trace(case, data):
    placed = generator.place(case, 1)
    plain = resolve(placed.records, placed.business_accounts)
    for portfolio, left, right, _ in sorted(plain.links, key=str)[:3]:
        row = generator.override_row(portfolio, left, right, "cannot_link")
        cut = resolve(placed.records, placed.business_accounts, [row])
        ends = {frozenset(link[1:3]) for link in cut.links if link[0] == portfolio}
        assert frozenset((left, right)) not in ends
        # a name that is carried no longer contradicts no longer: only history may come to somebody by that
        assert {link[3] for link in cut.links - plain.links} <= {"R5", "R8"}
    variables = Variables(backfill_max_silence_days=data.draw(st.sampled_from([1, 180, 10_000])))
    assert resolve(placed.records, placed.business_accounts, (), variables).claims is not None
