"""R8: numbers that somebody shared: the oracle against stories told by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from . import wire
from .oracle import utc
from .stories import P1, A, B, claims, kinds, rules, solve


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
