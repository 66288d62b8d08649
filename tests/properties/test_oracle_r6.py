"""R6: a second BSUID on a phone: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .stories import P1, A, B, customer_with, customers, groups, kinds, of_message, solve


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
