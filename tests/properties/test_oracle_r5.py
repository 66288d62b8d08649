"""R5: phone-era backfill: the oracle against stories told by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from . import wire
from .oracle import utc
from .stories import (
    P1,
    P2,
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
    [
        (90, "Bob", True),
        (91, "Bob", False),
        (180, None, True),
        (181, None, False),
        (181, " ANA ", True),
        (181, "Ana Souza", True),
    ],
)
def test_r5_silence_before_the_pairing(days, later_name, joined):
    start = utc("2026-01-01")
    result = solve(
        wire.message(start, phone=P1, name="Ana"),
        wire.message(start + timedelta(days=days), phone=P1, bsuid=A, name=later_name),
    )
    assert rules(result) == (["R5"] if joined else [])
    assert ("backfill_declined" in kinds(result)) is not joined


@pytest.mark.parametrize(
    ("days", "failed", "later_name", "customers_after"),
    [
        (90, True, None, 1),
        (91, True, None, 2),
        (91, False, None, 1),
        (91, True, "Ana", 1),
        (45, True, "Bob", 2),
        (44, True, "Bob", 1),
    ],
)
def test_r5_who_is_reached_after_a_send_that_found_nobody(
    days, failed, later_name, customers_after
):
    """Phone-only on both sides, and with a BSUID on the later one."""
    start = utc("2025-01-01")
    seen = [wire.message(start, phone=P1, name="Ana")]
    if failed:
        middle = start + timedelta(days=30)
        seen.append(wire.status(middle, "failed", phone=P1, id="wamid.failed"))
    for bsuid in (None, A):
        later = wire.message(start + timedelta(days=days), phone=P1, bsuid=bsuid, name=later_name)
        assert len(solve(*seen, later).customers) == customers_after


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


@pytest.mark.parametrize(("status", "joined"), [("READ", True), ("SENT", False)])
def test_r5_what_a_synced_message_reached_is_a_contact(status, joined):
    result = solve(
        wire.history("2026-01-01", "2026-03-01", phone=P1, outbound=True, status=status),
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
        ("Ana", 730, True),
        ("Ana", 731, False),
        ("Ana 🌸", 731, False),
        ("Ana Souza", 731, True),
    ],
)
def test_r5_a_name_of_one_word_proves_for_two_years(name, days, joined):
    start = utc("2024-01-01")
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
