"""R7: a succession that nobody told of: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .stories import P1, P2, A, B, customers, groups, kinds, solve


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
