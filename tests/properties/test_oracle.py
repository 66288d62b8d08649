"""The oracle against stories told by hand, one or more per rule, and its own properties."""

from __future__ import annotations

import copy
import random
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import generator, wire
from .oracle import Resolution, Variables, moment_text, resolve, utc

P1, P2, P3 = "5511900000001", "5511900000002", "5521900000009"
A, B, C, D = "BR.1001", "BR.1002", "BR.1003", "BR.1004"
PORTFOLIO = "portfolio"
ACCOUNTS = [{"waba_id": wire.WABA, "portfolio_id": PORTFOLIO}]


def solve(*records, overrides=(), accounts=ACCOUNTS, ignored=(), variables=None) -> Resolution:
    """Resolve, and insist that neither the order of arrival nor a second delivery matters."""
    result = resolve(records, accounts, overrides, variables, ignored)
    assert resolve(records[::-1], accounts, overrides, variables, ignored) == result
    assert resolve(records * 2, accounts, overrides, variables, ignored) == result
    return result


def groups(result: Resolution) -> set[frozenset[str]]:
    """The customers as sets of identifiers, segments as phone@month-day."""
    return {
        frozenset(n[1] if n[0] == "bsuid" else f"{n[1]}@{n[2]:%m-%d}" for n in nodes)
        for nodes in result.customers.values()
    }


def customers(*sets: set[str]) -> set[frozenset[str]]:
    return {frozenset(one) for one in sets}


def rules(result: Resolution) -> list[str]:
    return sorted(rule for _, _, _, rule in result.links)


def kinds(result: Resolution) -> set[str]:
    return {kind for _, kind, _ in result.reviews}


def claims(result: Resolution) -> list[tuple]:
    """Claims as (phone, bsuid, from, to, reason) with month-days for times."""
    return [
        (phone, bsuid, f"{start:%m-%d}", f"{end:%m-%d}" if end else None, reason)
        for _, phone, bsuid, start, end, reason in result.claims
    ]


def customer_with(result: Resolution, identifier: str) -> str:
    return next(
        key for key, nodes in result.customers.items() if identifier in {node[1] for node in nodes}
    )


def of_message(result: Resolution, message_id: str) -> str:
    return result.message_customer[PORTFOLIO, message_id]


# --- R1, R3, R5: the plain transition -----------------------------------------------------------


def test_r5_phone_era_is_adopted_by_the_first_bsuid():
    result = solve(
        wire.message("2026-01-01", phone=P1, name="Ana", id="wamid.old"),
        wire.message("2026-05-01", phone=P1, bsuid=A, name="Ana"),
        wire.message("2026-09-01", bsuid=A, name="Ana", id="wamid.hidden"),
        wire.message("2026-09-02", phone=P1, id="wamid.phone-only"),
    )
    assert groups(result) == customers({A, f"{P1}@01-01"})
    assert rules(result) == ["R5"]
    assert claims(result) == [(P1, A, "05-01", None, None)]
    assert len(set(result.message_customer.values())) == 1


@pytest.mark.parametrize(
    ("days", "later_name", "joined"),
    [(179, "Bob", True), (180, "Bob", True), (181, "Bob", False), (181, " ANA ", True)],
)
def test_r5_silence_before_the_pairing(days, later_name, joined):
    start = utc("2026-01-01")
    result = solve(
        wire.message(start, phone=P1, name="Ana"),
        wire.message(start + timedelta(days=days), phone=P1, bsuid=A, name=later_name),
    )
    assert rules(result) == (["R5"] if joined else [])
    assert ("backfill_declined" in kinds(result)) is not joined


def test_r5_what_was_only_sent_does_not_break_silence():
    result = solve(
        wire.message("2026-01-01", phone=P1, name="Ana"),
        wire.status("2026-05-01", "sent", phone=P1, id="wamid.sent"),
        wire.echo("2026-06-01", phone=P1),
        wire.message("2026-07-20", phone=P1, bsuid=A, name="Bob"),
    )
    assert rules(result) == []
    assert of_message(result, "wamid.sent") == customer_with(result, P1)


@pytest.mark.parametrize(
    ("contact", "days", "joined"),
    [
        (wire.echo, 45, True),
        (wire.echo, 46, False),
        ("sent", 45, True),
        ("sent", 46, False),
        ("delivered", 180, True),
        ("delivered", 181, False),
        ("read", 180, True),
        ("played", 180, True),
    ],
)
def test_r5_whoever_the_business_wrote_to_first_is_one_customer(contact, days, joined):
    start = utc("2026-01-01")
    written = (
        wire.status(start, contact, phone=P1)
        if isinstance(contact, str)
        else contact(start, phone=P1)
    )
    result = solve(
        written, wire.message(start + timedelta(days=days), phone=P1, bsuid=A, name="Ana")
    )
    assert rules(result) == (["R5"] if joined else [])
    assert ("backfill_declined" in kinds(result)) is not joined


@pytest.mark.parametrize(("duration", "joined"), [(None, False), (0, False), (35, True)])
def test_r5_an_answered_call_reached_somebody(duration, joined):
    result = solve(
        wire.call("2026-01-01", phone=P1, outbound=True, event="terminate", duration=duration),
        wire.message("2026-04-01", phone=P1, bsuid=A),
    )
    assert rules(result) == (["R5"] if joined else [])


@pytest.mark.parametrize(("status", "joined"), [("RINGING", False), ("ACCEPTED", True)])
def test_r5_the_status_of_a_call_is_a_contact(status, joined):
    result = solve(
        wire.call_status("2026-01-01", status, phone=P1),
        wire.message("2026-04-01", phone=P1, bsuid=A),
    )
    assert rules(result) == (["R5"] if joined else [])


def monthly(status: str, days: range) -> list:
    start = utc("2025-01-01")
    return [
        wire.status(start + timedelta(days=day), status, phone=P1, id=f"wamid.{day}")
        for day in days
    ]


def test_r5_a_number_that_never_rested_never_changed_hands():
    early = wire.message("2025-01-01", phone=P1, name="Ana")
    late = wire.message("2025-12-01", phone=P1, bsuid=A, name="Zoe")
    assert rules(solve(early, *monthly("delivered", range(40, 330, 45)), late)) == ["R5"]
    assert rules(solve(early, *monthly("delivered", range(40, 330, 46)), late)) == []
    assert rules(solve(early, *monthly("sent", range(40, 330, 45)), late)) == []
    phone_only = wire.message("2025-12-01", phone=P1, name="Zoe")
    assert len(solve(early, *monthly("delivered", range(40, 330, 45)), phone_only).customers) == 1
    assert len(solve(early, *monthly("delivered", range(40, 330, 46)), phone_only).customers) == 2


@pytest.mark.parametrize(("days", "segments"), [(180, 1), (181, 2)])
def test_r5_who_writes_long_after_somebody_was_written_to_is_another(days, segments):
    start = utc("2025-01-01")
    result = solve(
        wire.status(start, "delivered", phone=P1),
        wire.message(start + timedelta(days=days), phone=P1, name="Ana"),
    )
    assert len(result.customers) == segments


@pytest.mark.parametrize(
    ("name", "days", "joined"),
    [
        ("Ana", 365, True),
        ("Ana", 366, False),
        ("Ana 🌸", 366, False),
        ("Ana Souza", 366, True),
    ],
)
def test_r5_a_name_of_one_word_proves_for_a_year(name, days, joined):
    start = utc("2025-01-01")
    again = start + timedelta(days=days)
    early = wire.message(start, phone=P1, name=name)
    result = solve(early, wire.message(again, phone=P1, bsuid=A, name=name))
    assert rules(result) == (["R5"] if joined else [])
    result = solve(early, wire.message(again, phone=P1, name=name))
    assert (len(result.customers) == 1) is joined


def test_r5_a_name_from_a_status_or_an_echo_counts():
    early = wire.message("2025-06-01", phone=P1, name="Ana")
    paired = wire.message("2026-04-01", phone=P1, bsuid=A)
    for later in (
        wire.status("2026-04-02", "read", bsuid=A, name="Ana"),
        wire.echo("2026-04-02", bsuid=A, name="Ana"),
    ):
        assert rules(solve(early, paired, later)) == ["R5"]
    assert (
        rules(solve(early, paired, wire.state_sync("2026-04-02", bsuid=A, full_name="Ana"))) == []
    )


def test_r5_names_blank_or_without_letters_never_match():
    for name in (None, "", "🌸", "..."):
        result = solve(
            wire.message("2026-01-01", phone=P1, name=name),
            wire.message("2026-08-01", phone=P1, bsuid=A, name=name),
        )
        assert rules(result) == []


def test_r5_name_is_compared_after_composition():
    result = solve(
        wire.message("2026-01-01", phone=P1, name="Jose\u0301  da Silva"),
        wire.message("2026-08-01", phone=P1, bsuid=A, name="José da silva"),
    )
    assert rules(result) == ["R5"]


def test_r5_another_identity_key_with_another_name_contradicts():
    story = [
        wire.message("2026-01-01", phone=P1, name="Ana"),
        wire.identity_changed("2026-02-01", phone=P1),
    ]
    other = solve(*story, wire.message("2026-03-01", phone=P1, bsuid=A, name="Bob"))
    same = solve(*story, wire.message("2026-03-01", phone=P1, bsuid=A, name="Ana"))
    assert (rules(other), rules(same)) == ([], ["R5"])


def test_r5_two_eras_on_one_number_are_two_customers():
    result = solve(
        wire.message("2025-06-10", phone=P1, name="Ana", id="wamid.ana"),
        wire.message("2026-02-01", phone=P1, name="Bob", id="wamid.bob"),
        wire.message("2026-05-01", phone=P1, bsuid=B, name="Bob"),
    )
    assert groups(result) == customers({f"{P1}@06-10"}, {B, f"{P1}@02-01"})
    assert of_message(result, "wamid.ana") != of_message(result, "wamid.bob")


def test_r5_not_for_a_bsuid_that_came_by_rotation():
    result = solve(
        wire.message("2026-08-15", phone=P2, name="Rui"),
        wire.message("2026-08-16", phone=P1, bsuid=A, name="Ana"),
        wire.rotation("2026-09-01", A, B),
        wire.message("2026-09-02", phone=P2, bsuid=B, name="Ana"),
    )
    assert groups(result) == customers({A, B}, {f"{P2}@08-15"})
    assert "backfill_declined" in kinds(result)


def test_r5_rotation_on_the_same_number_keeps_its_era():
    result = solve(
        wire.message("2026-08-15", phone=P1, name="Ana"),
        wire.rotation("2026-09-01", A, B, old_phone=P1),
        wire.message("2026-09-02", phone=P1, bsuid=B, name="Ana"),
    )
    assert groups(result) == customers({A, B, f"{P1}@08-15"})


def test_r3_hiding_closes_nothing_and_a_second_phone_does():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.message("2026-06-01", bsuid=A),
        wire.message("2026-07-01", phone=P2, bsuid=A),
    )
    assert claims(result) == [
        (P1, A, "05-01", "07-01", "other_phone"),
        (P2, A, "07-01", None, None),
    ]
    assert "bsuid_two_phones" in kinds(result)
    assert not result.holder_changed


def test_r3_a_late_read_does_not_take_the_number_back():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.status("2026-05-02", "sent", phone=P1, bsuid=A, id="wamid.1"),
        wire.message("2026-06-01", phone=P1, bsuid=B),
        wire.status("2026-07-01", "read", phone=P1, bsuid=A, id="wamid.1"),
        wire.status("2026-07-02", "read", phone=P1, bsuid=A, id="wamid.2"),
    )
    assert claims(result) == [
        (P1, A, "05-01", "06-01", "other_bsuid"),
        (P1, B, "06-01", None, None),
    ]


def test_r3_a_status_pairing_is_dated_at_the_first_status_of_its_message():
    result = solve(
        wire.status("2026-05-02", "sent", phone=P1, id="wamid.1"),
        wire.status("2026-07-01", "read", phone=P1, bsuid=A, id="wamid.1"),
        wire.message("2026-06-01", phone=P1, bsuid=B),
    )
    assert claims(result) == [
        (P1, A, "05-02", "06-01", "other_bsuid"),
        (P1, B, "06-01", None, None),
    ]


def test_r3_of_two_bsuids_at_one_instant_one_holds_the_phone():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A, id="wamid.1", name="Ana"),
        wire.message("2026-05-01", phone=P1, bsuid=B, id="wamid.2", name="Bo"),
    )
    assert groups(result) == customers({A}, {B})
    assert claims(result) == [(P1, B, "05-01", None, None)]
    assert "phone_two_bsuids" in kinds(result)
    two_phones = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A, id="wamid.1"),
        wire.message("2026-05-01", phone=P2, bsuid=A, id="wamid.2"),
    )
    assert claims(two_phones) == [(P2, A, "05-01", None, None)]
    assert "bsuid_two_phones" in kinds(two_phones)


def test_history_and_sync_count_from_their_receipt():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.history("2025-01-01", "2026-06-01", phone=P1, bsuid=B, id="wamid.h"),
    )
    assert claims(result)[1] == (P1, B, "06-01", None, None)
    result = solve(wire.state_sync("2025-01-01", phone=P1, bsuid=A, received="2026-06-01"))
    assert claims(result) == [(P1, A, "06-01", None, None)]


# --- R2: succession -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        wire.rotation("2026-09-01", A, B, old_phone=P1, new_phone=P2),
        wire.rotation("2026-09-01", A, B),
        wire.rotation_in_body("2026-08-18T23:59:59", B, old_bsuid=A),
        wire.rotation_in_body("2026-09-01", B, old_bsuid=A, old_phone=P1, new_phone=P2),
        wire.rotation_in_body("2026-09-01", B, body="Ana changed", old_phone=P1),
        wire.user_id_update("2026-09-01", A, B),
        wire.user_id_update("2026-09-01", A, B, phone=P2),
        wire.number_change("2026-09-01", P1, P2),
        wire.number_change("2026-09-01", P1, P2, v11=True),
    ],
    ids=lambda _: "",
)
def test_r2_every_generation_in_every_order(event):
    before = wire.message("2026-05-01", phone=P1, bsuid=A, name="Ana")
    after = wire.message("2026-09-03", phone=P2, bsuid=B, name="Ana")
    results = [solve(*order) for order in permutations((before, event, after))]
    assert all(result == results[0] for result in results)
    assert groups(results[0]) == customers({A, B})
    assert rules(results[0]) == ["R2"]


def test_r2_later_rotation_known_first_and_first_message_before_its_rotation():
    story = (
        wire.message("2026-08-20", phone=P1, bsuid=A, received="2026-08-20"),
        wire.rotation("2026-09-10", B, C, received="2026-09-10"),
        wire.message("2026-09-01T00:00:05", bsuid=B, received="2026-09-01T00:00:06"),
        wire.rotation("2026-09-01", A, B, received="2026-09-17"),
    )
    for order in permutations(story):
        assert groups(solve(*order)) == customers({A, B, C})


def test_r2_copies_from_several_business_numbers_are_one_change():
    result = solve(
        wire.message("2026-08-20", phone=P1, bsuid=A),
        wire.rotation("2026-09-02", A, B, old_phone=P1, new_phone=P2, number="300000000000001"),
        wire.rotation("2026-09-01", A, B, number="300000000000002"),
    )
    assert claims(result) == [
        (P1, A, "08-20", "09-01", "succession"),
        (P2, B, "09-01", None, None),
    ]
    assert rules(result) == ["R2"]


def test_r2_a_fork_and_a_join_are_dropped_and_reviewed():
    fork = solve(wire.rotation("2026-09-01", A, B), wire.rotation("2026-09-02", A, C))
    join = solve(wire.rotation("2026-09-01", A, C), wire.rotation("2026-09-02", B, C))
    for result in (fork, join):
        assert groups(result) == customers({A}, {B}, {C})
        assert "succession_fork" in kinds(result)


def test_r2_the_stronger_evidence_wins_a_fork():
    result = solve(wire.rotation("2026-09-01", A, B), wire.user_id_update("2026-09-02", A, C))
    assert groups(result) == customers({A, B}, {C})


def test_r2_a_cycle_stays_joined_and_is_reviewed():
    result = solve(wire.rotation("2026-09-01", A, B), wire.rotation("2026-09-20", B, A))
    assert groups(result) == customers({A, B})
    assert "succession_cycle" in kinds(result)


def test_r2_a_number_change_cuts_both_phones():
    result = solve(
        wire.message("2026-08-01", phone=P1, bsuid=A),
        wire.message("2026-08-02", phone=P2, bsuid=C),
        wire.number_change("2026-09-01", P1, P2),
        wire.message("2026-09-03", phone=P2, bsuid=B),
    )
    assert groups(result) == customers({A, B}, {C})
    assert [claim[4] for claim in claims(result)] == ["number_change", "number_change", None]
    assert not result.holder_changed


def test_r2_a_number_change_between_phone_only_eras():
    result = solve(
        wire.message("2025-08-01", phone=P1, name="Ana"),
        wire.number_change("2025-09-01", P1, P2),
        wire.message("2025-10-01", phone=P2),
        wire.message("2026-08-01", phone=P2, bsuid=A, name="Ana"),
    )
    assert groups(result) == customers({f"{P1}@08-01", f"{P2}@10-01", A})
    assert rules(result) == ["R2", "R5"], "the name is carried along the number change"


def test_r2_a_number_change_waits_for_its_new_phone_but_not_beyond_the_next_change():
    waiting = [
        wire.message("2025-08-01", phone=P1),
        wire.number_change("2025-09-01", P1, P2),
    ]
    assert groups(solve(*waiting)) == customers({f"{P1}@08-01"})
    late = wire.message("2026-09-01", phone=P2, bsuid=A)
    assert groups(solve(*waiting, late)) == customers({f"{P1}@08-01", A})
    onward = wire.number_change("2026-01-01", P2, P3)
    assert groups(solve(*waiting, onward, late)) == customers({f"{P1}@08-01"}, {A})


def test_r2_whoever_passes_over_a_phone_unseen_stays_one():
    there = [
        wire.message("2025-08-01", phone=P1),
        wire.number_change("2025-09-01", P1, P2),
    ]
    back = [
        wire.number_change("2025-10-01", P2, P1),
        wire.message("2025-11-01", phone=P1),
    ]
    assert groups(solve(*there, *back)) == customers({f"{P1}@08-01", f"{P1}@11-01"})
    seen = wire.message("2025-09-15", phone=P2)
    one = {f"{P1}@08-01", f"{P2}@09-15", f"{P1}@11-01"}
    assert groups(solve(*there, seen, *back)) == customers(one)
    another = [wire.message("2025-08-02", phone=P3), wire.number_change("2025-09-01", P3, P2)]
    assert rules(solve(*there, *another, *back)) == [], "two waited on the same phone"


def test_r2_what_fails_on_the_way_is_the_movers():
    result = solve(
        wire.message("2025-08-01", phone=P1, id="wamid.1"),
        wire.number_change("2025-09-01", P1, P2),
        wire.status("2025-09-02", "failed", phone=P2, id="wamid.2"),
        wire.status("2025-09-02", "failed", phone=P3, id="wamid.3"),
    )
    assert groups(result) == customers({f"{P1}@08-01"})
    told = {message: customer for (_, message), customer in result.message_customer.items()}
    assert told["wamid.2"] == told["wamid.1"]
    assert told["wamid.3"] == "never_reached"


def test_r2_one_change_told_by_phones_and_by_bsuids_is_no_join():
    era = wire.message("2026-03-01", phone=P1)
    phones = wire.number_change("2026-04-20", P1, P2)
    update = wire.user_id_update("2026-04-21", A, B, phone=P2)
    assert groups(solve(era, phones, update)) == customers({f"{P1}@03-01", A, B})
    later = wire.user_id_update("2026-04-28", A, B, phone=P2)
    assert groups(solve(era, phones, later)) == customers({f"{P1}@03-01"}, {A, B})


@pytest.mark.parametrize(
    "body",
    [
        f"User {A} changed from {C} to {B}",
        f"User Ana changed from {A} to {B} !",
        f"User Ana changed from {B} to {A}",
        f"User {A} to {B} changed",
        f"Number changed by user {A} to {B}",
        f"User Ana changed from {A} to {B} changed from {A} to {B}",
    ],
)
def test_r2_a_body_that_is_not_exact_proves_nothing(body):
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.rotation_in_body("2026-06-01", B, body=body),
    )
    assert rules(result) == []


@pytest.mark.parametrize(
    ("at", "joined"),
    [
        ("2026-05-03T23:59:59", False),
        ("2026-05-04", True),
        ("2026-08-18T23:59:59", True),
        ("2026-08-19", False),
    ],
)
def test_r2_a_body_is_read_in_its_weeks_only_and_reviewed(at, joined):
    result = solve(wire.rotation_in_body(at, B, old_bsuid=A))
    assert (rules(result) == ["R2"]) is joined
    assert ("body_text_only" in kinds(result)) is joined


def test_r2_a_body_beside_an_old_phone_is_not_read():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.rotation_in_body("2026-06-01", B, old_bsuid=C, old_phone=P1),
    )
    assert groups(result) == customers({A, B})


def test_r2_an_id_is_what_its_shape_says_in_any_slot():
    result = solve(
        wire.rotation("2026-06-10", None, B, old_phone=A),
        wire.number_change("2026-06-10", C, D, v11=True),
    )
    assert groups(result) == customers({A, B}, {C, D})
    new_twice = wire.rotation("2026-06-10", None, B, old_phone=B)
    assert groups(solve(new_twice)) == customers({B})


@pytest.mark.parametrize(
    ("days", "later", "joined"),
    [(90, "Zoe", True), (91, "Zoe", False), (91, " ana ", True), (91, None, True)],
)
def test_r2_a_long_wait_ends_only_with_the_same_name(days, later, joined):
    changed = utc("2026-05-01")
    result = solve(
        wire.message("2026-04-20", phone=P1, bsuid=A, name="Ana"),
        wire.number_change(changed, P1, P2),
        wire.message(changed + timedelta(days=days), phone=P2, bsuid=B, name=later),
    )
    assert (rules(result) == ["R2"]) is joined
    assert ("late_succession" in kinds(result)) is not joined


def test_r2_a_walk_is_no_fork():
    there, back = wire.rotation("2026-09-01", A, B), wire.rotation("2026-09-10", B, A)
    on = wire.rotation("2026-09-20", A, C)
    assert groups(solve(there, back, on)) == customers({A, B, C})
    assert groups(solve(there, on)) == customers({A}, {B}, {C})
    stranger = wire.rotation("2026-09-10", D, A)
    result = solve(there, stranger, on)
    assert groups(result) == customers({A, D}, {B}, {C}), "nobody came back"
    around = [wire.rotation("2026-09-05", B, D), wire.rotation("2026-09-10", D, A)]
    assert groups(solve(there, *around, on)) == customers({A, B, C, D})
    weak = wire.user_id_update("2026-09-10", B, A)
    assert groups(solve(there, weak, on)) == customers({A, B}, {C}), "weaker than the rivals"


# --- R4, R6, R7, R8 -----------------------------------------------------------------------------


def test_r4_username_leases():
    result = solve(
        wire.message("2026-07-01", bsuid=A, username="@Ana.S"),
        wire.message("2026-07-02", bsuid=A, username="ana.s"),
        wire.message("2026-07-03", bsuid=B, username="ana.s"),
        wire.message("2026-07-04", bsuid=B),
        wire.status("2026-07-05", "sent", bsuid=C, id="wamid.1"),
        wire.message("2026-07-06", bsuid=C, username="cee"),
        wire.status("2026-07-07", "sent", bsuid=C, id="wamid.2"),
    )
    assert [(u, b, f"{s:%m-%d}", e and f"{e:%m-%d}") for _, u, b, s, e in result.leases] == [
        ("ana.s", A, "07-01", "07-03"),
        ("ana.s", B, "07-03", "07-04"),
        ("cee", C, "07-06", None),
    ]
    assert not result.links


def test_r4_a_username_reclaimed_within_a_day_joins_nobody():
    result = solve(
        wire.message("2026-07-01", bsuid=A, phone=P1, username="ana.s", name="Ana"),
        wire.message("2026-07-01T20:00", bsuid=B, phone=P2, username="ana.s", name="Zoe"),
    )
    assert groups(result) == customers({A}, {B})
    assert "possible_missed_rotation" not in kinds(result)


def test_r6_a_recycled_number_moves_and_the_time_between_belongs_to_nobody():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A, name="Ana"),
        wire.message("2026-05-02", phone=P1, id="wamid.between"),
        wire.status("2026-05-03", "failed", phone=P1, id="wamid.failed"),
        wire.message("2026-06-01", phone=P1, bsuid=B, name="Ana"),
        wire.message("2026-06-02", phone=P1, id="wamid.after"),
    )
    assert groups(result) == customers({A}, {B})
    assert of_message(result, "wamid.between") == "holder_uncertain"
    assert of_message(result, "wamid.failed") == "holder_uncertain"
    assert of_message(result, "wamid.after") == customer_with(result, B)
    assert result.holder_changed == {customer_with(result, A)}
    assert "phone_two_bsuids" in kinds(result)


def test_r6_coming_back_is_flapping():
    result = solve(
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.message("2026-06-01", phone=P1, bsuid=B),
        wire.message("2026-07-01", phone=P1, bsuid=A),
    )
    assert "flapping_phone" in kinds(result)
    assert groups(result) == customers({A}, {B})


def test_r7_a_username_that_moved_to_an_equal_name_is_a_question():
    story = [
        wire.message("2026-07-01", bsuid=A, phone=P1, username="ana.s", name="Ana"),
        wire.message("2026-07-20", bsuid=B, phone=P2, username="ana.s", name="ana"),
    ]
    result = solve(*story)
    assert groups(result) == customers({A}, {B})
    assert "possible_missed_rotation" in kinds(result)
    alive = wire.message("2026-07-21", bsuid=A, name="Ana")
    assert "possible_missed_rotation" not in kinds(solve(*story, alive))


def test_r8_an_attested_number_adopts_its_era():
    for early in (True, False):
        result = solve(
            wire.message("2026-06-01", phone=P1, name="Ana"),
            wire.shared_contact("2026-07-01", P1, bsuid=A, origin_on_message=early),
        )
        assert rules(result) == ["R8"]
        assert claims(result) == [(P1, A, "07-01", None, None)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+5511988940001", True),
        ("+55 11 98894-0001", True),
        ("11 98894-0001", False),
        ("+55 11 1", False),
        ("call me", False),
    ],
)
def test_r8_a_card_without_wa_id_is_read_by_its_phone(written, read):
    asked = wire.shared_contact("2026-07-01", None, written=written, bsuid=A)
    assert [claim[0] for claim in claims(solve(asked))] == (["5511988940001"] if read else [])


@pytest.mark.parametrize(
    ("days", "name", "rule", "question"),
    [(180, "Bob", [], True), (180, "Ana", ["R8"], False), (180, None, ["R8"], False)],
)
def test_r8_a_number_that_wrote_under_another_name_is_a_question(days, name, rule, question):
    start = utc("2026-01-01")
    asked = start + timedelta(days=days)
    result = solve(
        wire.message(start, phone=P1, name="Ana"),
        wire.shared_contact(asked, P1, bsuid=A, name=name),
    )
    assert rules(result) == rule
    assert ("backfill_declined" in kinds(result)) is question
    assert len(claims(result)) == 1


@pytest.mark.parametrize("origin", ["other", None])
def test_r8_any_other_card_is_never_identity(origin):
    result = solve(
        wire.message("2026-06-01", phone=P1, name="Ana"),
        wire.shared_contact("2026-07-01", P1, origin=origin, bsuid=A, name="Ana"),
    )
    assert rules(result) == [] and claims(result) == []


def test_r8_an_attested_number_of_somebody_else_is_a_question():
    held = wire.message("2026-06-01", phone=P1, bsuid=B)
    asked = wire.shared_contact("2026-07-01", P1, bsuid=A)
    again = wire.shared_contact("2026-07-02", P1, bsuid=A)
    result = solve(held, asked, again)
    assert claims(result) == [(P1, B, "06-01", None, None)]
    assert "attested_phone_taken" in kinds(result)
    succeeded = solve(held, asked, wire.rotation("2026-06-15", B, A))
    assert claims(succeeded)[-1] == (P1, A, "07-01", None, None)
    mine = wire.message("2026-05-01", phone=P1, bsuid=A)
    assert claims(solve(mine, held, asked))[-1] == (P1, A, "07-01", None, None)
    long_ago = wire.message("2025-12-01", phone=P1, bsuid=B)
    assert claims(solve(long_ago, asked))[-1] == (P1, A, "07-01", None, None)


# --- R9, R10, R11 -------------------------------------------------------------------------------


def test_r9_parents_join_enterprises_across_portfolios_only():
    accounts = [*ACCOUNTS, {"waba_id": "2", "portfolio_id": "second"}]
    old, new = "BR.ENT.91", "BR.ENT.92"
    result = solve(
        wire.message("2026-07-01", bsuid=A, parent=old),
        wire.rotation("2026-09-01", A, B, old_parent=old, new_parent=new),
        wire.message("2026-09-02", bsuid=C, parent=new, waba="2", number="3"),
        wire.message("2026-09-02", bsuid=D, waba="2", number="3"),
        accounts=accounts,
    )
    assert groups(result) == customers({A, B}, {C}, {D})
    expected = frozenset({customer_with(result, A), customer_with(result, C)})
    assert result.enterprise == {expected}


def test_r9_a_failed_send_to_a_parent_is_that_of_the_one_who_shows_it():
    parent = "BR.ENT.91"
    failed = wire.status("2026-07-02", "failed", parent=parent, id="wamid.f")
    shown = wire.message("2026-07-01", bsuid=A, parent=parent)
    result = solve(shown, failed)
    assert of_message(result, "wamid.f") == customer_with(result, A)
    another = wire.message("2026-07-01", bsuid=B, parent=parent)
    assert of_message(solve(shown, another, failed), "wamid.f") == "no_identifier"
    assert of_message(solve(failed), "wamid.f") == "no_identifier"
    slot = wire.status("2026-07-02", "failed", bsuid=parent, id="wamid.f")
    assert of_message(solve(shown, slot), "wamid.f") == customer_with(result, A)


def test_r10_a_key_is_the_earliest_observation_and_outlives_a_corrected_mapping():
    story = [
        wire.message("2026-01-01", phone=P1, name="Ana"),
        wire.message("2026-05-01", phone=P1, bsuid=A, name="Ana"),
    ]
    before, after = solve(*story, accounts=[]), solve(*story)
    assert before.customers.keys() == after.customers.keys()
    (parts,) = after.key_parts.values()
    assert (parts[0], parts[3]) == (moment_text(utc("2026-01-01T00:00:02")), P1)


def test_same_bsuid_in_two_portfolios_is_two_customers():
    accounts = [*ACCOUNTS, {"waba_id": "2", "portfolio_id": "second"}]
    story = [
        wire.message("2026-07-01", bsuid=A, phone=P1),
        wire.message("2026-07-02", bsuid=A, phone=P1, waba="2", number="3"),
    ]
    assert len(solve(*story, accounts=accounts).customers) == 2
    assert len(solve(*story, accounts=[]).customers) == 2
    one = [{**row, "portfolio_id": PORTFOLIO} for row in accounts]
    assert len(solve(*story, accounts=one).customers) == 1


def test_one_event_in_two_portfolios_is_two_with_keys_of_their_own():
    story = [
        wire.message("2026-07-01", bsuid=A, phone=P1, id="wamid.1"),
        wire.message("2026-07-01", bsuid=A, phone=P1, id="wamid.1", waba="2", number="3"),
    ]
    result = solve(*story)
    assert len(result.customers) == 2
    assert len(result.message_customer) == 2


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
    result = solve(
        wire.message("2026-07-01", bsuid=A, name="Eva Rossi", id=""),
        wire.message("2026-07-01", bsuid=A, name="Eva R.", id="", received="2026-07-02"),
    )
    assert len(result.message_customer) == 1


def test_r11_overrides_are_exact():
    story = [
        wire.message("2026-01-01", phone=P1, name="Ana"),
        wire.message("2026-05-01", phone=P1, bsuid=A, name="Ana"),
        wire.rotation("2026-09-01", A, B),
        wire.message("2026-09-02", bsuid=C),
    ]
    plain = solve(*story)
    for _, left, right, _ in plain.links:
        row = generator.override_row(PORTFOLIO, left, right, "cannot_link")
        cut = solve(*story, overrides=[row])
        assert len(cut.customers) == len(plain.customers) + 1
        assert len(cut.links) == len(plain.links) - 1
        assert "override_problem" not in kinds(cut)
    row = generator.override_row(PORTFOLIO, ("bsuid", B), ("bsuid", C), "must_link")
    assert len(solve(*story, overrides=[row]).customers) == 1
    contrary = {**row, "decision": "cannot_link"}
    for rows in ([contrary], [row, contrary], [{**row, "expires_at": "2026-09-01"}]):
        result = solve(*story, overrides=rows)
        assert result.partition() == plain.partition()
        assert "override_problem" in kinds(result)


def test_r11_a_rotation_between_two_people_takes_no_number_away():
    story = [
        wire.message("2026-08-15", phone=P1, bsuid=A),
        wire.rotation("2026-09-01", A, B),
        wire.message("2026-09-05", bsuid=B),
    ]
    row = generator.override_row(PORTFOLIO, ("bsuid", A), ("bsuid", B), "cannot_link")
    result = solve(*story, overrides=[row])
    assert groups(result) == customers({A}, {B})
    assert claims(result) == [(P1, A, "08-15", None, None)]
    assert claims(solve(*story)) == [(P1, A, "08-15", "09-01", "succession")]


def test_r11_a_phone_means_its_holder_then_or_the_latest():
    story = [
        wire.message("2026-05-01", phone=P1, bsuid=A),
        wire.message("2026-06-01", phone=P1, bsuid=B),
        wire.message("2026-06-02", bsuid=C),
    ]
    row = generator.override_row(PORTFOLIO, ("bsuid", C), ("bsuid", P1), "must_link")
    row["right_type"] = "phone"
    assert groups(solve(*story, overrides=[row])) == customers({A}, {B, C})
    row["right_at"] = "2026-05-15"
    problem = solve(*story, overrides=[row])
    assert "override_problem" in kinds(problem), "the tail of a claim is uncertain"
    row["right_at"] = "2026-05-01"
    assert groups(solve(*story, overrides=[row])) == customers({A, C}, {B})


# --- Values, messages, nobody -------------------------------------------------------------------


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
        spans = sorted(span for span in spans if span[0] != span[1])
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
        assert len(cut.customers) >= len(plain.customers)
    variables = Variables(backfill_max_silence_days=data.draw(st.sampled_from([1, 180, 10_000])))
    assert resolve(placed.records, placed.business_accounts, (), variables).claims is not None
