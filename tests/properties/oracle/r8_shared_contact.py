"""R8: numbers that a user attested."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .model import Components, Node, Observation, Variables
from .names import Names
from .r2_succession import STRENGTH, Change, r2_candidates, r2_kept

if TYPE_CHECKING:
    from .phone_line import Segment
    from .r3_phone_claim import Claim


def r8_under_another_name(
    segment: Segment, claim: Claim, differ: bool, variables: Variables
) -> bool:
    """Whether the number that somebody attested wrote under another name just before."""
    wrote = segment.contacts("inbound")
    lately = bool(wrote) and claim.start - wrote[-1] <= variables.silence
    return claim.opened.tier == 2 and differ and lately


def r8_void(
    pairings: Sequence[Observation],
    changes: Sequence[Change],
    parted: Collection[frozenset[str]],
    variables: Variables,
) -> tuple[set[tuple[str, str]], set[tuple[str, tuple[str, ...]]]]:
    """The attested pairings, as (event id, path), of numbers that somebody else was just seen with.

    Joined with the sender counts by succession through named BSUIDs only, as the phone-derived ones
    need the claims, which need this.
    """
    found, _ = r2_candidates(changes, {}, Names((), {}, ()), variables)
    named = [edge for edge in found if edge.strength != STRENGTH["phone"]]
    kept, _ = r2_kept(named, variables)
    groups = Components()
    for edge in kept:
        if frozenset((edge.old[1], edge.new[1])) not in parted:
            groups.join(edge.old, edge.new)
    void, reviews = set(), set()
    granted: set[tuple[str | None, Node, datetime]] = set()
    for asked in sorted(pairings, key=lambda o: o.pairing_order):
        if asked.tier != 2:
            continue
        sender = groups.root(("bsuid", asked.bsuid))
        mine = any(
            phone == asked.phone and root == sender and at < asked.paired_at
            for phone, root, at in granted
        ) or any(
            other.phone == asked.phone
            and groups.root(("bsuid", other.bsuid)) == sender
            and other.tier == 1
            and other.paired_at < asked.paired_at
            for other in pairings
        )
        others = {
            other.bsuid
            for other in pairings
            if other.phone == asked.phone
            and groups.root(("bsuid", other.bsuid)) != sender
            and timedelta(0) < asked.paired_at - other.paired_at <= variables.silence
        }
        if mine or not others:
            granted.add((asked.phone, sender, asked.paired_at))
        else:
            void.add((asked.event_id, asked.path))
            reviews.add(("attested_phone_taken", tuple(sorted(asked.pair))))
    return void, reviews
