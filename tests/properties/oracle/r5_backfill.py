"""R5: phone-era backfill (section 7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .identifiers import is_other_name
from .model import Node, Observation, Variables
from .phone_line import last_reached_or_sent, never_rested, same_name, written_to_lately
from .r8_shared_contact import r8_under_another_name

if TYPE_CHECKING:
    from .names import Names
    from .phone_line import PhoneLine, Segment
    from .r2_succession import Change, Edge
    from .r3_phone_claim import Claim


def r5_there(segment: Segment, at: datetime, silence: timedelta, variables: Variables) -> bool:
    """Whether somebody was on the number recently enough before a pairing."""
    inbound = segment.contacts("inbound")
    if not inbound:
        return written_to_lately(segment.observations, at, silence, variables)
    if at - inbound[-1] <= silence:
        return True
    return never_rested(segment.observations, inbound[-1], at, variables)


def r5_silence(segment: Segment, at: datetime) -> timedelta:
    """How long nobody was heard of: since the person acted, else was reached, else was sent to."""
    inbound = segment.contacts("inbound")
    return at - (inbound[-1] if inbound else last_reached_or_sent(segment.observations))


def r5_backfill(
    lines: Mapping[str, PhoneLine],
    names: Names,
    came_by_rotation: Callable[[Claim], bool],
    forbidden: Collection[frozenset[Node]],
    variables: Variables,
) -> tuple[list[tuple[Node, Node, str]], set[tuple[str, tuple[str, ...]]]]:
    """Let each claim's BSUID adopt the segment the claim ended: who was there, or is named so."""
    links, reviews = [], set()
    for line in lines.values():
        for claim in line.claims:
            segment = line.segment_ended_by(claim)
            if segment is None:
                continue
            at = claim.start
            left, right = segment.node, ("bsuid", claim.bsuid)
            theirs, mine = names.up_to(left, at), names.of_bsuid(claim.bsuid, at)
            differ = is_other_name(theirs, mine)
            heard_of = at - r5_silence(segment, at)
            unreachable = any(
                sign.out_of_reach_from and heard_of < sign.at <= at for sign in line.owner_signs
            )
            silence = variables.contradicted_silence if differ or unreachable else variables.silence
            there = r5_there(segment, at, silence, variables)
            by_name = same_name(theirs, mine, r5_silence(segment, at), variables)
            if line.is_cut(segment.opened_at, at) and not (there and by_name):
                continue
            since = segment.named[-1].evidence_at if segment.named else segment.opened_at
            new_owner = differ and any(since < sign.at <= at for sign in line.owner_signs)
            rotated = came_by_rotation(claim) and not (there and by_name)
            contradicted = (
                new_owner or rotated or r8_under_another_name(segment, claim, differ, variables)
            )
            if frozenset((left, right)) in forbidden:
                continue
            if (there or by_name) and not contradicted:
                links.append((left, right, "R8" if claim.opened.tier == 2 else "R5"))
            else:
                reviews.add(("backfill_declined", tuple(sorted((line.phone, claim.bsuid)))))
    return links, reviews


def r5_came_by_rotation(
    claim: Claim,
    new_sides: Sequence[tuple[Change, Node | None]],
    candidates: Sequence[Edge],
    pairings: Sequence[Observation],
) -> bool:
    """Whether a change brought this BSUID from a side that never was on this phone."""
    was_here = {
        pairing.bsuid
        for pairing in pairings
        if pairing.phone == claim.phone and pairing.paired_at <= claim.start
    }
    for change, new_side in new_sides:
        if new_side != ("bsuid", claim.bsuid) or change.old_names == {claim.bsuid}:
            continue
        old_sides = {edge.old for edge in candidates if edge.change is change}
        old_sides |= {("bsuid", old) for old in change.old_names}
        here = change.old_phone == claim.phone or any(
            side[1] == claim.phone if side[0] == "phone" else side[1] in was_here
            for side in old_sides
        )
        if not here:
            return True
    return False
