"""R2: rotations and number changes (section 4)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .events import Event
from .identifiers import BSUID, contact_person, handle, is_blank, is_other_name, person
from .model import Json, Node, Observation, Variables, label
from .observations import joined_contact
from .times import MICROSECOND

if TYPE_CHECKING:
    from .names import Names
    from .phone_line import PhoneLine

BODY = re.compile(rf"User .* changed from ({BSUID.pattern}) to ({BSUID.pattern})", re.DOTALL)
BSUID_ANYWHERE = re.compile(BSUID.pattern)
ROTATIONS = ("user_changed_number", "customer_changed_number", "user_changed_user_id")
STRENGTH = {"typed": 4, "user_id_update": 3, "phone": 2, "body_text": 1}


@dataclass(frozen=True)
class Change:
    """One rotation or number change; ``body_bsuid`` is an old BSUID known from free text only."""

    at: datetime
    received_at: datetime
    event_id: str
    waba_id: str
    strength: str
    old_bsuid: str | None
    old_phone: str | None
    new_bsuid: str | None
    new_phone: str | None
    body_bsuid: str | None = None
    old_parent: str | None = None
    new_parent: str | None = None
    name: str | None = None
    username: str | None = None

    @property
    def order(self) -> tuple[datetime, datetime, str]:
        return (self.at, self.received_at, self.event_id)

    @property
    def old_names(self) -> set[str]:
        return {bsuid for bsuid in (self.old_bsuid, self.body_bsuid) if bsuid}

    @property
    def phones(self) -> set[str]:
        return {phone for phone in (self.old_phone, self.new_phone) if phone}

    def copy_key(self) -> tuple[Any, ...]:
        """What copies of one change share: the pair of BSUIDs, else of phones, else everything."""
        old = self.old_bsuid or self.body_bsuid
        if old and self.new_bsuid:
            return ("bsuids", old, self.new_bsuid)
        if self.old_phone and self.new_phone:
            return ("phones", self.old_phone, self.new_phone)
        return ("other", old, self.old_phone, self.new_bsuid, self.new_phone)


def old_in_body(body: Any, new_bsuid: str | None) -> str | None:
    """The old BSUID of a body that is Meta's sentence to the letter and holds two ids, the second
    the new one: whoever is named like an id, or like the sentence, proves nothing."""
    told = BODY.fullmatch(str(body or "").strip())
    if told is None or told[2] != new_bsuid or len(BSUID_ANYWHERE.findall(told[0])) != 2:
        return None
    return told[1]


def read_change(event: Event, nobody: Collection[str], variables: Variables) -> Change | None:
    """The change an event tells of, in any generation.

    The body is read only where it is the only carrier of the old side, in the weeks it was.
    """
    item = event.item
    body = None
    contact: Json = {}
    if event.kind == "message" and item.get("type") == "system":
        system = item.get("system") or {}
        if system.get("type") not in ROTATIONS:
            return None
        old = person(
            system.get("previous_user_id"),
            item.get("from"),
            system.get("previous_parent_user_id"),
            system.get("customer"),
        )
        new = person(
            system.get("user_id"),
            system.get("wa_id"),
            system.get("parent_user_id"),
            system.get("new_wa_id"),
        )
        untold = is_blank(system.get("previous_user_id"))
        if untold and old.bsuid == new.bsuid:
            old = replace(old, bsuid=None)
        weeks = variables.body_text_from <= event.evidence_at.date() <= variables.body_text_to
        if untold and weeks and system["type"] == "user_changed_user_id":
            if old.bsuid is None and old.phone is None:
                body = old_in_body(system.get("body"), new.bsuid)
        named = "typed"
    elif event.kind == "user_id_update":
        ids, parents = item.get("user_id") or {}, item.get("parent_user_id") or {}
        old = person(ids.get("previous"), None, parents.get("previous"))
        new = person(ids.get("current"), item.get("wa_id"), parents.get("current"))
        contact = joined_contact(new, event) or {}
        phone = new.phone or contact_person(contact).phone
        new = replace(new, phone=phone)
        named = "user_id_update"
    else:
        return None

    def allowed(value: str | None) -> str | None:
        return None if value in nobody else value

    old_bsuid, new_bsuid = allowed(old.bsuid), allowed(new.bsuid)
    body = allowed(body) if not old_bsuid else None
    both = old_bsuid and new_bsuid
    profile = contact.get("profile") or {}
    return Change(
        event.evidence_at,
        event.received_at,
        event.event_id,
        event.waba_id,
        named if both else "body_text" if body else "phone",
        old_bsuid,
        allowed(old.phone),
        new_bsuid,
        allowed(new.phone),
        body,
        old.parent,
        new.parent,
        profile.get("name"),
        handle(profile.get("username")),
    )


def r2_changes(raw: Iterable[Change], variables: Variables) -> list[Change]:
    """Merge the copies of each change: the earliest time, the phones of whichever copy has them."""
    window = timedelta(days=variables.rotation_copy_window_days)
    groups: dict[tuple[Any, ...], list[list[Change]]] = defaultdict(list)
    for change in sorted(raw, key=lambda c: c.order):
        chains = groups[change.copy_key()]
        if chains and change.at - chains[-1][-1].at <= window:
            chains[-1].append(change)
        else:
            chains.append([change])

    def merged(copies: list[Change]) -> Change:
        def any_of(name: str) -> Any:
            return next((getattr(c, name) for c in copies if getattr(c, name)), None)

        old_bsuid = any_of("old_bsuid")
        return replace(
            copies[0],
            strength=max((c.strength for c in copies), key=lambda s: STRENGTH[s]),
            old_bsuid=old_bsuid,
            old_phone=any_of("old_phone"),
            new_bsuid=any_of("new_bsuid"),
            new_phone=any_of("new_phone"),
            body_bsuid=None if old_bsuid else any_of("body_bsuid"),
        )

    return [merged(copies) for chains in groups.values() for copies in chains]


def r2_sightings(raw: Iterable[Change], changes: Iterable[Change]) -> list[Observation]:
    """What changes show: a copy its BSUIDs, a change its pairings, the old one just before."""

    def sighting(change: Change, path: str, at: datetime, **ids: Any) -> Observation:
        return Observation(
            event_id=change.event_id,
            waba_id=change.waba_id,
            path=path,
            received_at=change.received_at,
            occurred_at=at,
            evidence_at=at,
            paired_at=at,
            direction="inbound",
            **{"bsuid": None, "phone": None, **ids},
        )

    found = []
    for copy in raw:
        for bsuid in sorted(copy.old_names):
            found.append(sighting(copy, "change.old", copy.at, bsuid=bsuid, parent=copy.old_parent))
        if copy.new_bsuid:
            profile = {"name": copy.name, "username": copy.username, "parent": copy.new_parent}
            found.append(sighting(copy, "change.new", copy.at, bsuid=copy.new_bsuid, **profile))
    for change in changes:
        if change.old_bsuid and change.old_phone:
            ids = {"bsuid": change.old_bsuid, "phone": change.old_phone}
            found.append(sighting(change, "change.old.pair", change.at - MICROSECOND, **ids))
        if change.new_bsuid and change.new_phone:
            ids = {"bsuid": change.new_bsuid, "phone": change.new_phone}
            found.append(sighting(change, "change.new.pair", change.at, **ids))
    return found


def r2_cuts(changes: Iterable[Change]) -> dict[str, list[datetime]]:
    """The times at which each phone is cut, sorted."""
    cuts: dict[str, set[datetime]] = defaultdict(set)
    for change in changes:
        for phone in change.phones:
            cuts[phone].add(change.at)
    return {phone: sorted(times) for phone, times in cuts.items()}


@dataclass(frozen=True)
class Edge:
    """A candidate succession from one node to the next.

    ``loose``: the old end is phone-only history, or somebody who was not seen on the old phone.
    """

    old: Node
    new: Node
    strength: int
    change: Change
    loose: bool = False


def r2_waiting(
    change: Change, changes: Sequence[Change], phones: Mapping[str, PhoneLine]
) -> Node | None:
    """Who was told to have come to a change's old phone and left it before being seen there."""
    line = phones[change.old_phone or ""]
    arrived_at = max((cut for cut in line.cuts if cut < change.at), default=None)
    if arrived_at is None or line.first_node_from(arrived_at):
        return None
    return r2_mover(line.phone, arrived_at, changes, phones, named=False)


def r2_mover(
    phone: str,
    at: datetime,
    changes: Sequence[Change],
    phones: Mapping[str, PhoneLine],
    named: bool = True,
) -> Node | None:
    """The one node that a change brought to a phone at a moment (``named``: also with its BSUID)."""
    arrivals = [change for change in changes if change.new_phone == phone and change.at == at]
    nodes = {
        r2_old_side(change, changes, phones) for change in arrivals if named or not change.new_bsuid
    } - {None}
    return nodes.pop() if len(nodes) == 1 else None


def r2_old_side(
    change: Change, changes: Sequence[Change], phones: Mapping[str, PhoneLine]
) -> Node | None:
    """The old BSUID of a change, else who was on its old phone, else who was on the way over it."""
    if change.old_bsuid:
        return ("bsuid", change.old_bsuid)
    if change.old_phone not in phones:
        return None
    here = phones[change.old_phone].node_before(change.at)
    return here or r2_waiting(change, changes, phones)


def r2_new_side(
    change: Change,
    changes: Sequence[Change],
    phones: Mapping[str, PhoneLine],
    names: Names,
    variables: Variables,
) -> tuple[Node | None, Node | None]:
    """The new BSUID of a change, else whom it waited for: the first node on its new phone.

    The wait is long when that node was first seen over ``succession_wait_days`` later: then a node
    of another name is somebody else. Also returns who was refused so.
    """
    if change.new_bsuid:
        return ("bsuid", change.new_bsuid), None
    if change.new_phone not in phones:
        return None, None
    first = phones[change.new_phone].first_sighting_from(change.at)
    if first is None:
        return None, None
    seen_at, node = first
    old = r2_old_side(change, changes, phones)
    if old and seen_at - change.at > variables.succession_wait:
        theirs, mine = names.own_up_to(old, change.at), names.own_from(node, seen_at)
        if is_other_name(theirs, mine):
            return None, node
    return node, None


def r2_candidates(
    changes: Sequence[Change],
    phones: Mapping[str, PhoneLine],
    names: Names,
    variables: Variables,
) -> tuple[list[Edge], set[tuple[str, tuple[str, ...]]]]:
    """The edges each change could make, both ends resolved to nodes, and who came too late."""
    edges, reviews = [], set()
    for change in changes:
        old: Node | None = ("bsuid", change.old_bsuid) if change.old_bsuid else None
        new: Node | None = ("bsuid", change.new_bsuid) if change.new_bsuid else None
        if old and new:
            edges.append(Edge(old, new, STRENGTH[change.strength], change))
            continue
        if new and change.body_bsuid:
            body: Node = ("bsuid", change.body_bsuid)
            edges.append(Edge(body, new, STRENGTH["body_text"], change))
        loose = False
        if old is None and change.old_phone in phones:
            here = phones[change.old_phone].node_before(change.at)
            loose = here is None or here[0] == "phone"
            old = here or r2_waiting(change, changes, phones)
        new, late = r2_new_side(change, changes, phones, names, variables)
        if old and new:
            edges.append(Edge(old, new, STRENGTH["phone"], change, loose))
        if old and late:
            reviews.add(("late_succession", tuple(sorted((label(old), label(late))))))
    return [edge for edge in edges if edge.old != edge.new], reviews


def r2_told_twice(
    candidates: Sequence[Edge], variables: Variables
) -> dict[tuple[Node, Node], tuple[Node, int]]:
    """The side, and its strength, of edges that tell one change by its phones and by its BSUIDs.

    They enter one node within the copy window, and nothing else of their kind does.
    """
    window = timedelta(days=variables.rotation_copy_window_days)
    pairs: dict[tuple[Node, Node], list[Edge]] = defaultdict(list)
    for edge in candidates:
        pairs[edge.old, edge.new].append(edge)
    first = {pair: min(edge.change.at for edge in edges) for pair, edges in pairs.items()}
    loose = {pair for pair, edges in pairs.items() if all(edge.loose for edge in edges)}
    near: dict[tuple[Node, Node], list[tuple[Node, Node]]] = defaultdict(list)
    for pair in pairs:
        for other in pairs:
            apart = abs(first[pair] - first[other])
            if other[1] == pair[1] and (pair in loose) != (other in loose) and apart <= window:
                near[pair].append(other)
    sides = {}
    for pair, others in near.items():
        if len(others) == 1 and len(near[others[0]]) == 1:
            named = others[0] if pair in loose else pair
            strongest = max(edge.strength for one in (pair, *others) for edge in pairs[one])
            sides[pair] = (named[0], strongest)
    return sides


class Walks:
    """The tours of nodes: walks over told changes, each at or after the one before, that come back.

    Between two of its tours a node was somebody's twice, so edges on both sides are no rivals.
    """

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.into: dict[Node, list[Edge]] = defaultdict(list)
        for edge in edges:
            self.into[edge.new].append(edge)
        self._closings: dict[tuple[Node, int], list[datetime]] = {}

    def closings(self, node: Node, strength: int) -> list[datetime]:
        """When tours of a node close that have no edge weaker than ``strength``."""
        if (node, strength) not in self._closings:
            ends = [edge for edge in self.into[node] if edge.strength >= strength]
            found = [edge.change.at for edge in ends if self._comes_from(node, edge, strength)]
            self._closings[node, strength] = found
        return self._closings[node, strength]

    def _comes_from(self, node: Node, last: Edge, strength: int) -> bool:
        """Whether a walk that ends in an edge began at a node; looked for backwards in time."""
        latest = {last.old: last.change.at}
        frontier = [last.old]
        while frontier:
            here = frontier.pop()
            if here == node:
                return True
            for edge in self.into[here]:
                at = edge.change.at
                known = latest.get(edge.old)
                if edge.strength >= strength and at <= latest[here] and not (known and known >= at):
                    latest[edge.old] = at
                    frontier.append(edge.old)
        return False

    def part(self, node: Node, one: Edge, other: Edge) -> bool:
        """Whether a tour of a node lies between two edges at it, no weaker than the weaker one."""
        begin, end = sorted((one.change.at, other.change.at))
        weaker = min(one.strength, other.strength)
        return any(begin < at <= end for at in self.closings(node, weaker))


def r2_kept(
    candidates: Sequence[Edge], variables: Variables
) -> tuple[list[Edge], set[tuple[str, tuple[str, ...]]]]:
    """Keep an edge that is strictly stronger than its rivals at both of its ends; review the ties.

    Rivals leave one node for different partners, or enter one from different sides, with no tour of
    that node between them. Two partners are joined if any of the edges between them is kept.
    """
    sides = r2_told_twice(candidates, variables)
    walks = Walks(candidates)
    out, into = defaultdict(list), defaultdict(list)
    for edge in candidates:
        out[edge.old].append(edge)
        into[edge.new].append(edge)

    def side(edge: Edge) -> tuple[Node, int]:
        return sides.get((edge.old, edge.new), (edge.old, edge.strength))

    reviews: set[tuple[str, tuple[str, ...]]] = set()
    kept: dict[tuple[Node, Node], Edge] = {}
    for edge in sorted(candidates, key=lambda e: (-e.strength, e.change.order)):
        forks = [o for o in out[edge.old] if o.new != edge.new]
        forks = [o for o in forks if not walks.part(edge.old, edge, o)]
        joins = [o for o in into[edge.new] if side(o)[0] != side(edge)[0]]
        joins = [o for o in joins if not walks.part(edge.new, edge, o)]
        strongest_fork = max((other.strength for other in forks), default=0)
        strongest_join = max((side(other)[1] for other in joins), default=0)
        if edge.strength > strongest_fork and side(edge)[1] > strongest_join:
            kept.setdefault((edge.old, edge.new), edge)
        if edge.strength == strongest_fork:
            tied = [other for other in forks if other.strength == strongest_fork]
            reviews.add(fork_review([edge, *tied]))
        if side(edge)[1] == strongest_join:
            tied = [other for other in joins if side(other)[1] == strongest_join]
            reviews.add(fork_review([edge, *tied]))
    for edge in kept.values():
        if edge.strength == STRENGTH["body_text"]:
            reviews.add(("body_text_only", tuple(sorted((label(edge.old), label(edge.new))))))
    return list(kept.values()), reviews


def fork_review(tied: Iterable[Edge]) -> tuple[str, tuple[str, ...]]:
    nodes = {node for edge in tied for node in (edge.old, edge.new)}
    return ("succession_fork", tuple(sorted(label(node) for node in nodes)))


def r2_cycles(kept: Sequence[Edge]) -> set[tuple[str, tuple[str, ...]]]:
    """The circles among kept edges: who can be reached from whom and back."""
    onward: dict[Node, set[Node]] = defaultdict(set)
    for edge in kept:
        onward[edge.old].add(edge.new)
    while ends := {n for n, to in onward.items() if not to & onward.keys()}:
        for node in ends:
            del onward[node]

    def reached(start: Node) -> set[Node]:
        found: set[Node] = set()
        frontier = [start]
        while frontier:
            fresh = (onward[frontier.pop()] & onward.keys()) - found
            found |= fresh
            frontier += fresh
        return found

    ways = {node: reached(node) for node in list(onward)}
    circles = {
        frozenset(other for other in ways[node] if node in ways[other])
        for node in ways
        if node in ways[node]
    }
    return {
        ("succession_cycle", tuple(sorted(label(node) for node in circle))) for circle in circles
    }
