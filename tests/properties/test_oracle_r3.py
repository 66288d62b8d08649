"""R3: phone claims: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .stories import P1, P2, A, B, claims, customers, groups, kinds, solve


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
