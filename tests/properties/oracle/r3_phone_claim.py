"""R3: phone claims (section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from .model import Observation, Order

if TYPE_CHECKING:
    from .r2_succession import Change

CLOSE_REASONS = ("succession", "number_change", "other_bsuid", "other_phone")


@dataclass
class Claim:
    """A BSUID's hold on a phone, half-open; ``taken_by`` is the phone that closed it, or the
    BSUID that had this one from then on."""

    phone: str
    bsuid: str
    opened: Observation
    start: datetime
    end: datetime | None
    reason: str | None
    taken_by: str | None
    openers: list[Observation] = field(default_factory=list)
    last_paired_at: datetime | None = None

    @property
    def is_held(self) -> bool:
        return self.end is None or self.start < self.end


def r3_openers(pairings: Iterable[Observation]) -> list[Observation]:
    """All pairings that are not from statuses, and the first pairing of each pair of any kind."""
    openers, seen = [], set()
    for pairing in sorted(pairings, key=lambda o: o.pairing_order):
        if not pairing.is_status or pairing.pair not in seen:
            openers.append(pairing)
        seen.add(pairing.pair)
    return openers


def r3_claims(
    pairings: Sequence[Observation],
    changes: Iterable[Change],
    cuts: Mapping[str, Sequence[datetime]],
    parted: Collection[frozenset[str]],
) -> list[Claim]:
    """Open, continue and close the claims, in the order of their openers.

    Of two openers at one instant the later in that order holds; the claim of the other has no
    length: it only says who lost. A change of two BSUIDs that are ``parted`` is nobody's.
    """
    openers = r3_openers(pairings)
    last_at = {(opener.phone, opener.paired_at): opener.bsuid for opener in openers}
    away: dict[str, list[datetime]] = defaultdict(list)
    for change in changes:
        for bsuid in change.old_names - {change.new_bsuid}:
            if frozenset((bsuid, change.new_bsuid)) not in parted:
                away[bsuid].append(change.at)
    claims: dict[tuple[str, str, datetime | None], Claim] = {}
    for opener in openers:
        closers: list[tuple[datetime, int, Order | None, str | None]] = []
        for other in openers:
            if other.pairing_order > opener.pairing_order:
                if other.phone == opener.phone and other.bsuid != opener.bsuid:
                    taker = last_at[other.phone, other.paired_at]
                    closers.append((other.paired_at, 2, other.pairing_order, taker))
                elif other.bsuid == opener.bsuid and other.phone != opener.phone:
                    closers.append((other.paired_at, 3, other.pairing_order, other.phone))
        for at in away.get(opener.bsuid or "", ()):
            if at > opener.paired_at:
                closers.append((at, 0, None, None))
        for at in cuts.get(opener.phone or "", ()):
            if at > opener.paired_at:
                closers.append((at, 1, None, None))
        first = min(closers, key=lambda c: (c[0], c[1], c[2] or ()), default=None)
        end = first[0] if first else None
        key = (opener.phone or "", opener.bsuid or "", end)
        if key not in claims:
            reason = CLOSE_REASONS[first[1]] if first else None
            taken_by = first[3] if first else None
            claims[key] = Claim(*key[:2], opener, opener.paired_at, end, reason, taken_by)
        claim = claims[key]
        claim.openers.append(opener)
        if first and CLOSE_REASONS.index(claim.reason or "") > first[1]:
            claim.reason, claim.taken_by = CLOSE_REASONS[first[1]], first[3]
    for claim in claims.values():
        times = [opener.paired_at for opener in claim.openers]
        for pairing in pairings:
            late = pairing.pair == (claim.bsuid, claim.phone) and pairing.is_status
            within = pairing.paired_at >= claim.start and (
                claim.end is None or pairing.paired_at < claim.end
            )
            if late and within:
                times.append(pairing.paired_at)
        claim.last_paired_at = max(times)
    return sorted(claims.values(), key=lambda c: c.opened.pairing_order)
