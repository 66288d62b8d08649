"""R11: what a person decided: the oracle against stories told by hand."""

from __future__ import annotations

from . import generator, wire
from .stories import P1, PORTFOLIO, A, B, C, claims, customers, groups, kinds, solve


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
