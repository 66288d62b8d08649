"""R4: username leases (section 8)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .model import Observation


def r4_leases(
    observations: Iterable[Observation],
) -> list[tuple[str, str, datetime, datetime | None]]:
    """The intervals (username, bsuid, from, to) in which a BSUID held a username."""
    seen = sorted((o for o in observations if o.bsuid and o.tier == 1), key=lambda o: o.order)
    leases: dict[tuple[str, str, datetime | None], datetime] = {}
    for place, sighting in enumerate(seen):
        if sighting.username is None:
            continue
        end = None
        for later in seen[place + 1 :]:
            same_person = later.bsuid == sighting.bsuid
            renamed = same_person and later.username not in (None, sighting.username)
            moved = not same_person and later.username == sighting.username
            removed = (
                same_person
                and later.username is None
                and later.direction == "inbound"
                and later.is_message_contact
            )
            if renamed or moved or removed:
                end = later.evidence_at
                break
        leases.setdefault((sighting.username, sighting.bsuid or "", end), sighting.evidence_at)
    return [(name, bsuid, start, end) for (name, bsuid, end), start in leases.items()]
