"""Phone segments: what of a phone's history no BSUID holds (section 6)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from .events import Event
from .identifiers import is_other_name, person, plain_name
from .model import Node, Observation, Order, Variables, Where
from .observations import is_new_key

if TYPE_CHECKING:
    from .r3_phone_claim import Claim

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class Segment:
    """A stretch of phone-only history that no BSUID holds."""

    phone: str
    observations: list[Observation]

    @property
    def first(self) -> Observation:
        return min(self.observations, key=lambda o: o.order)

    @property
    def opened_at(self) -> datetime:
        return self.first.evidence_at

    @property
    def node(self) -> Node:
        return ("phone", self.phone, self.opened_at)

    @property
    def inbound(self) -> list[Observation]:
        ordered = sorted(self.observations, key=lambda o: o.order)
        return [seen for seen in ordered if seen.direction == "inbound"]

    @property
    def named(self) -> list[Observation]:
        """Contacts of any direction that show a name."""
        ordered = sorted(self.observations, key=lambda o: o.order)
        return [seen for seen in ordered if plain_name(seen.name)]

    def contacts(self, *reach: str) -> list[datetime]:
        """When the person acted, was reached or was sent something, in order."""
        return sorted(seen.contact_at for seen in self.observations if seen.reach in reach)


class PhoneLine:
    """One phone over time: claims, cuts, uncertain tails and the segments in what is left."""

    def __init__(
        self,
        phone: str,
        claims: Sequence[Claim],
        cuts: Sequence[datetime],
        phone_only: Sequence[Observation],
        owner_signs: Sequence[OwnerSign],
        variables: Variables,
    ) -> None:
        self.phone = phone
        self.owner_signs = owner_signs
        self.copy_window = timedelta(days=variables.rotation_copy_window_days)
        self.claims = list(claims)
        self.cuts = list(cuts)
        ends = [claim.end for claim in claims if claim.end is not None]
        self.bounds = sorted({*cuts, *(claim.start for claim in claims), *ends})
        self.uncertain = [
            (old.last_paired_at, new.start)
            for old, new in zip(self.claims, self.claims[1:], strict=False)
            if old.bsuid != new.bsuid and old.reason not in ("succession", "number_change")
        ]
        self.breaks: dict[int, list[datetime]] = {}
        self.segments: dict[tuple[int, int], Segment] = {}
        self._cut_into_segments(phone_only, variables)

    def bound(self, at: datetime) -> datetime:
        """Where the stretch of a moment begins."""
        before = self.bounds[: self.stretch(at)]
        return before[-1] if before else LONG_AGO

    def stretch(self, at: datetime) -> int:
        """The number of the stretch between two boundaries; a boundary begins the later one."""
        return bisect_right(self.bounds, at)

    def holder(self, at: datetime) -> Claim | None:
        for claim in self.claims:
            if claim.start <= at and (claim.end is None or at < claim.end):
                return claim
        return None

    def is_uncertain(self, at: datetime) -> bool:
        return any(begin < at < end for begin, end in self.uncertain)

    def _cut_into_segments(self, phone_only: Sequence[Observation], variables: Variables) -> None:
        loose: dict[int, list[Observation]] = defaultdict(list)
        for seen in sorted(phone_only, key=lambda o: o.order):
            at = seen.evidence_at
            is_contact = not seen.is_failed and not seen.is_sync
            if self.holder(at) is None and not self.is_uncertain(at) and is_contact:
                loose[self.stretch(at)].append(seen)
        rests = r5_rests(self.owner_signs, phone_only, variables)
        for stretch, found in loose.items():
            parts: dict[datetime | None, list[Observation]] = defaultdict(list)
            for seen in found:
                before = [rest for rest in rests if rest <= seen.evidence_at]
                again = before[-1] if before and self.stretch(before[-1]) == stretch else None
                parts[again].append(seen)
            bounds = {rest for rest in parts if rest}
            for part in parts.values():
                bounds |= set(breaks(part, self.owner_signs, variables))
            self.breaks[stretch] = sorted(bounds)
            for seen in found:
                place = (stretch, bisect_right(self.breaks[stretch], seen.evidence_at))
                self.segments.setdefault(place, Segment(self.phone, [])).observations.append(seen)

    def last_segment_of(self, stretch: int) -> Segment | None:
        places = [place for place in self.segments if place[0] == stretch]
        return self.segments[max(places)] if places else None

    def attribute(self, at: datetime) -> Where:
        """Whose a phone-only observation is: the holder, nobody for sure, or a segment."""
        if self.is_uncertain(at):
            return "holder_uncertain"
        claim = self.holder(at)
        if claim:
            return ("bsuid", claim.bsuid)
        stretch = self.stretch(at)
        place = (stretch, bisect_right(self.breaks.get(stretch, []), at))
        return self.segments[place].node if place in self.segments else None

    def node_before(self, at: datetime) -> Node | None:
        """The node on the phone just before a moment: the holder, else the last segment, as long as
        no claim or cut lies between."""
        for claim in self.claims:
            if claim.start < at and (claim.end is None or at <= claim.end):
                return ("bsuid", claim.bsuid)
        segment = self.last_segment_of(bisect_left(self.bounds, at))
        return segment.node if segment and segment.opened_at < at else None

    def first_node_from(self, at: datetime) -> Node | None:
        """The first node seen on the phone from a moment on, before the phone is cut again (with
        that cut, while it may be the same change told once more)."""
        first = self.first_sighting_from(at)
        return first[1] if first else None

    def first_sighting_from(self, at: datetime) -> tuple[datetime, Node] | None:
        """That node, and when it was seen."""
        again = next((cut for cut in self.cuts if cut > at), None)
        found: list[tuple[Order, Node]] = [
            (segment.first.order, segment.node) for segment in self.segments.values()
        ]
        found += [(c.opened.pairing_order, ("bsuid", c.bsuid)) for c in self.claims]
        later = [
            (order, node)
            for order, node in found
            if order[0] >= at
            and (again is None or order[0] < again or order[0] == again <= at + self.copy_window)
        ]
        first = min(later, key=lambda pair: pair[0], default=None)
        return (first[0][0], first[1]) if first else None

    def segment_ended_by(self, claim: Claim) -> Segment | None:
        """The segment a claim ended: the last one before it that no other claim lies between."""
        starters = [other for other in self.claims if other.start == claim.start]
        if starters[0] is not claim:
            return None
        since = [other.start for other in self.claims if other.start < claim.start]
        first, end = self.stretch(max(since)) if since else 0, bisect_left(self.bounds, claim.start)
        found = (self.last_segment_of(stretch) for stretch in range(end, first - 1, -1))
        return next((segment for segment in found if segment), None)

    def is_cut(self, begin: datetime, end: datetime) -> bool:
        """Whether a change of number cut the phone after a moment and up to another."""
        return any(begin < cut <= end for cut in self.cuts)


def identity_key_changes(events: Iterable[Event]) -> list[tuple[str, datetime]]:
    """The (phone, time) of every ``customer_identity_changed``."""
    found = []
    for event in events:
        if event.kind == "message" and is_new_key(event.item):
            system = event.item.get("system") or {}
            slots = (event.item.get("from"), system.get("customer"), system.get("wa_id"))
            phones = [phone for slot in slots if (phone := person(phone=slot).phone)]
            if phones:
                found.append((phones[0], event.evidence_at))
    return found


def r5_owner_signs(
    observations: Iterable[Observation],
    identity_changes: Iterable[tuple[str, datetime]],
    variables: Variables,
) -> dict[str, list[OwnerSign]]:
    """When a phone showed a sign of a new owner: a new key, or life after a rest out of reach."""
    shown: dict[str, list[Observation]] = defaultdict(list)
    alive: dict[str, set[datetime]] = defaultdict(set)
    dead: dict[str, set[datetime]] = defaultdict(set)
    signs: dict[str, dict[datetime, datetime | None]] = defaultdict(dict)
    for phone, at in identity_changes:
        signs[phone][at] = None
    for seen in observations:
        reached = seen.is_status and not seen.is_failed
        if seen.phone and seen.identity_key_hash:
            shown[seen.phone].append(seen)
        if seen.phone and seen.is_undeliverable:
            dead[seen.phone].add(seen.paired_at)
        elif seen.phone and seen.tier == 1 and seen.is_live:
            if reached or seen.direction == "inbound":
                alive[seen.phone].add(seen.paired_at)
    for phone, keys in shown.items():
        for former, later in pairwise(sorted(keys, key=lambda o: o.order)):
            if later.identity_key_hash != former.identity_key_hash:
                signs[phone][later.evidence_at] = None
    for phone, failures in dead.items():
        contacts = sorted(alive[phone])
        for before, at in zip(contacts, contacts[1:], strict=False):
            rested = at - before >= variables.number_rest
            if rested and any(before < failed < at for failed in failures):
                signs[phone][at] = before
    return {
        phone: [OwnerSign(at, found[at]) for at in sorted(found)] for phone, found in signs.items()
    }


def r5_rests(
    owner_signs: Sequence[OwnerSign], phone_only: Sequence[Observation], variables: Variables
) -> list[datetime]:
    """When a phone was reached again after so long out of reach that somebody else has it, unless
    the name is the same."""
    named = sorted((s for s in phone_only if plain_name(s.name)), key=lambda o: o.order)
    found = []
    for sign in owner_signs:
        if sign.out_of_reach_from is None:
            continue
        silence = sign.at - sign.out_of_reach_from
        before = [seen.name for seen in named if seen.evidence_at < sign.at]
        after = [seen.name for seen in named if seen.evidence_at >= sign.at]
        same = bool(before and after) and same_name(before[-1], after[0], silence, variables)
        if silence > variables.contradicted_silence and not same:
            found.append(sign.at)
    return found


@dataclass(frozen=True)
class OwnerSign:
    """A sign of a new owner; ``out_of_reach_from`` is null where only the key changed."""

    at: datetime
    out_of_reach_from: datetime | None


@dataclass
class Run:
    """Inbound sightings that follow one another; ``begins`` where there may be a new owner."""

    observations: list[Observation]
    begins: datetime | None = None
    by_sign: bool = False
    there_before: datetime = LONG_AGO  # when the person acted last, or else was written to
    absence: timedelta | None = None  # since then, if the number may have rested

    @property
    def named(self) -> list[Observation]:
        return [seen for seen in self.observations if plain_name(seen.name)]


def breaks(
    found: Sequence[Observation], owner_signs: Sequence[OwnerSign], variables: Variables
) -> list[datetime]:
    """Where a new segment begins between inbound sightings (or the contacts before them, and the
    first): after a silence, which is shorter where another name follows, and where another name
    follows a sign of a new owner; never where the names agree."""
    live = [seen for seen in found if seen.direction == "inbound" and seen.is_live]
    contacts = [seen for seen in found if seen.path != "identity_changed"]
    since = min((seen.evidence_at for seen in contacts), default=None)
    written = [s for s in contacts if live and s.reach and s.contact_order < live[0].contact_order]
    called = [seen for seen in contacts if live and seen.evidence_at < live[0].evidence_at]
    shortest = min(variables.silence, variables.contradicted_silence)
    runs: list[Run] = []
    for seen in live:
        at = seen.evidence_at
        before = runs[-1].observations[-1].evidence_at if runs else None
        begin = before or since
        signs = [sign.at for sign in owner_signs if begin and begin < sign.at <= at]
        if before is None:
            there = last_reached_or_sent(written)
            absence = at - there if written else None
            silent = bool(written) and not written_to_lately(written, at, shortest, variables)
        else:
            there = max(
                other.contact_at  # a synced chat tells of acts, too
                for other in contacts
                if other.reach == "inbound" and other.contact_order < seen.contact_order
            )
            absence = None if never_rested(contacts, there, at, variables) else at - there
            silent = absence is not None and absence > shortest
        if signs or silent or not runs:
            begins = signs[-1] if signs else at if silent else None
            runs.append(Run([seen], begins, bool(signs), there, absence))
        else:
            runs[-1].observations.append(seen)
    places = []
    for former, later in pairwise([Run(called if written else []), *runs]):
        if later.begins is None:
            continue
        is_first = later is runs[0]
        at = later.observations[0].evidence_at
        theirs = former.named[-1].name if former.named else None
        mine = later.named[0].name if later.named else None
        other = is_other_name(theirs, mine)
        limit = variables.contradicted_silence if other else variables.silence
        if is_first:
            gone = bool(written) and not written_to_lately(written, at, limit, variables)
        else:
            gone = later.absence is not None and later.absence > limit
        same = same_name(theirs, mine, at - later.there_before, variables)
        if not same and (gone or (other and later.by_sign)):
            places.append(later.begins)
    return places


def same_name(
    left: str | None, right: str | None, silence: timedelta, variables: Variables
) -> bool:
    """Whether two names are one over some silence: a fuller one over any, a first word ("Ana" and
    "Ana Souza") only for a time."""
    mine, theirs = plain_name(left), plain_name(right)
    if not mine or not theirs or is_other_name(mine, theirs):
        return False
    return (mine == theirs and " " in mine) or silence <= variables.one_word_silence


def written_to_lately(
    written: Sequence[Observation], at: datetime, silence: timedelta, variables: Variables
) -> bool:
    """Whether somebody was there who was only written to: reached within the silence, or sent
    something within the rest of a number by whom nothing ever reached."""
    limit = silence if any(is_alive(seen) for seen in written) else variables.number_rest
    return at - last_reached_or_sent(written) <= limit


def is_alive(seen: Observation) -> bool:
    """Whether a contact shows that somebody was there."""
    return seen.reach in ("inbound", "reached")


def last_reached_or_sent(written: Iterable[Observation]) -> datetime:
    """When somebody was reached last; where nothing ever reached, when something was sent."""
    found = [seen for seen in written if seen.reach]
    alive = [seen for seen in found if is_alive(seen)]
    return max((seen.contact_at for seen in alive or found), default=LONG_AGO)


def never_rested(
    contacts: Iterable[Observation], begin: datetime, end: datetime, variables: Variables
) -> bool:
    """Whether contacts that reached somebody follow one another, from a moment to another, so soon
    that the number never rested and so never changed hands."""
    alive = sorted(seen.contact_at for seen in contacts if is_alive(seen))
    times = [begin, *(at for at in alive if begin < at < end), end]
    return all(at - before <= variables.number_rest for before, at in pairwise(times))
