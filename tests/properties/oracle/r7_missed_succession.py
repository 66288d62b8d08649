"""R7: a succession that nobody told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .model import Node, Observation, Variables

if TYPE_CHECKING:
    from .names import Names


def r7_missed_successions(
    observations: Sequence[Observation],
    leases: Sequence[tuple[str, str, datetime, datetime | None]],
    names: Names,
    customer_of: Callable[[Node], str],
    variables: Variables,
) -> set[tuple[str, tuple[str, ...]]]:
    """A username that moved soon to a BSUID of equal name while the old BSUID fell silent."""
    window = timedelta(days=variables.username_move_max_days)
    last_seen: dict[str, datetime] = {}
    for seen in observations:
        if seen.bsuid:
            before = last_seen.get(seen.bsuid, seen.evidence_at)
            last_seen[seen.bsuid] = max(seen.evidence_at, before)
    reviews = set()
    for username, old, _, end in leases:
        for taken, new, start, _ in leases:
            if taken != username or new == old or start != end:
                continue
            silent = last_seen[old] < start and start - last_seen[old] <= window
            name = names.up_to(("bsuid", old), start)
            strangers = customer_of(("bsuid", old)) != customer_of(("bsuid", new))
            if silent and strangers and name and name == names.of_bsuid(new, start):
                reviews.add(("possible_missed_rotation", tuple(sorted((old, new, username)))))
    return reviews
