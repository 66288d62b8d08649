"""R4: username leases: the oracle against stories told by hand."""

from __future__ import annotations

from . import wire
from .stories import P1, P2, A, B, C, customers, groups, kinds, solve


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
