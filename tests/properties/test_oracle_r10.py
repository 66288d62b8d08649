"""R10: keys: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .oracle import moment_text, utc
from .stories import ACCOUNTS, P1, PORTFOLIO, A, solve


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
