"""R11: what a person decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .model import Node, Order
from .times import utc

if TYPE_CHECKING:
    from .phone_line import PhoneLine


def r11_end(
    kind: str, value: str, at: Any, nodes: Collection[Node], lines: Mapping[str, PhoneLine]
) -> Node | None:
    """The node an override names: a BSUID, or the holder or segment of a phone then (or latest)."""
    if kind == "bsuid":
        return ("bsuid", value) if ("bsuid", value) in nodes else None
    line = lines.get(value)
    if line is None:
        return None
    if at:
        found = line.attribute(utc(at))
        return found if isinstance(found, tuple) else None
    latest: list[tuple[Order, Node]] = [
        (segment.first.order, segment.node) for segment in line.segments.values()
    ]
    latest += [(claim.opened.pairing_order, ("bsuid", claim.bsuid)) for claim in line.claims]
    return max(latest, key=lambda pair: pair[0])[1] if latest else None


def r11_overrides(
    rows: Iterable[Mapping[str, Any]],
    nodes: Collection[Node],
    lines: Mapping[str, PhoneLine],
    as_of: datetime,
) -> tuple[set[tuple[Node, Node]], set[tuple[Node, Node]], set[tuple[str, tuple[str, ...]]]]:
    """The pairs to link, the pairs to cut and the rows that say nothing usable.

    A pair that is both linked and cut by overrides is neither: the rows contradict each other.
    """
    wanted: dict[str, set[tuple[Node, Node]]] = {"must_link": set(), "cannot_link": set()}
    problems = set()
    for row in rows:
        values = tuple(sorted((row["left_value"], row["right_value"])))
        left = r11_end(row["left_type"], row["left_value"], row.get("left_at"), nodes, lines)
        right = r11_end(row["right_type"], row["right_value"], row.get("right_at"), nodes, lines)
        expired = bool(row.get("expires_at")) and utc(row["expires_at"]) <= as_of
        if expired or left is None or right is None or left == right:
            problems.add(("override_problem", values))
        else:
            wanted[row["decision"]].add((left, right))
    linked = {frozenset(pair) for pair in wanted["must_link"]}
    cut = {frozenset(pair) for pair in wanted["cannot_link"]}
    for pair in linked & cut:
        problems.add(("override_problem", tuple(sorted(node[1] for node in pair))))
    clash = linked & cut
    return (
        {pair for pair in wanted["must_link"] if frozenset(pair) not in clash},
        {pair for pair in wanted["cannot_link"] if frozenset(pair) not in clash},
        problems,
    )


def r11_parted(rows: Iterable[Mapping[str, Any]], as_of: datetime) -> set[frozenset[str]]:
    """The pairs of BSUIDs that a person says are two people: no change between them is theirs."""
    said: dict[str, set[frozenset[str]]] = {"must_link": set(), "cannot_link": set()}
    for row in rows:
        expired = bool(row.get("expires_at")) and utc(row["expires_at"]) <= as_of
        if not expired and row["left_type"] == row["right_type"] == "bsuid":
            said[row["decision"]].add(frozenset((row["left_value"], row["right_value"])))
    return said["cannot_link"] - said["must_link"]
