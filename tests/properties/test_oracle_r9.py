"""R9: enterprises and parent BSUIDs: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .stories import ACCOUNTS, A, B, C, D, customer_with, customers, groups, of_message, solve


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
