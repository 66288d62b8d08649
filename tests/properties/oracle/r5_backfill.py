"""R5: phone-era backfill (section 7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from .model import Node, Observation, Variables

if TYPE_CHECKING:
    from .names import Names
    from .phone_line import PhoneLine
    from .r2_succession import Change, Edge


def r5_backfill(
    lines: Mapping[str, PhoneLine],
    names: Names,
    candidates: Sequence[Edge],
    changes: Sequence[Change],
    pairings: Sequence[Observation],
    forbidden: Collection[frozenset[Node]],
    variables: Variables,
) -> tuple[list[tuple[Node, Node, str]], set[tuple[str, tuple[str, ...]]]]:
    """Let each claim's BSUID adopt the segment the claim ended, by silence or by name."""
    links, reviews = [], set()
    for line in lines.values():
        for claim in line.claims:
            segment = line.segment_ended_by(claim)
            if segment is None:
                continue
            at = claim.start
            left, right = segment.node, ("bsuid", claim.bsuid)
            theirs, mine = names.up_to(left, at), names.of_bsuid(claim.bsuid, at)
            newest = max((seen.occurred_at for seen in segment.inbound), default=None)
            by_silence = newest is not None and at - newest <= variables.silence
            by_name = theirs is not None and theirs == mine
            since = segment.named[-1].evidence_at if segment.named else segment.opened_at
            cut = line.is_cut(segment.opened_at, at)
            rotated = r5_came_by_rotation(
                claim.bsuid, line.phone, at, lines, candidates, changes, pairings
            )
            if cut and not (by_silence and by_name):
                continue
            contradicted = (rotated and not (by_silence and by_name)) or (
                not by_name
                and any(
                    since < sign <= at and (rested or (theirs and mine))
                    for sign, rested in line.owner_signs
                )
            )
            if frozenset((left, right)) in forbidden:
                continue
            if (by_silence or by_name) and not contradicted:
                links.append((left, right, "R8" if claim.opened.tier == 2 else "R5"))
            else:
                reviews.add(("backfill_declined", tuple(sorted((line.phone, claim.bsuid)))))
    return links, reviews


def r5_came_by_rotation(
    bsuid: str,
    phone: str,
    at: datetime,
    lines: Mapping[str, PhoneLine],
    candidates: Sequence[Edge],
    changes: Sequence[Change],
    pairings: Sequence[Observation],
) -> bool:
    """Whether a change brought this BSUID from a side that never was on this phone."""
    was_here = {
        pairing.bsuid for pairing in pairings if pairing.phone == phone and pairing.paired_at <= at
    }
    for change in changes:
        edges = [edge for edge in candidates if edge.change is change]
        new_side: Node | None = ("bsuid", change.new_bsuid) if change.new_bsuid else None
        if new_side is None and change.new_phone in lines:
            new_side = lines[change.new_phone].first_node_from(change.at)
        if new_side != ("bsuid", bsuid) or change.old_names == {bsuid}:
            continue
        old_sides = {edge.old for edge in edges} | {("bsuid", old) for old in change.old_names}
        here = change.old_phone == phone or any(
            side[1] == phone if side[0] == "phone" else side[1] in was_here for side in old_sides
        )
        if not here:
            return True
    return False
