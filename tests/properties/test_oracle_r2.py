"""R2: rotations and number changes: the oracle against stories told by hand."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from . import wire
from .oracle import utc
from .stories import P1, P2, P3, A, B, C, D, claims, customers, groups, kinds, rules, solve


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
