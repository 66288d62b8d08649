"""R2: rotations and number changes (section 4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .events import Event
from .identifiers import BSUID, contact_person, handle, person, shape
from .model import Json, Node, Observation, Variables, label
from .observations import joined_contact
from .times import MICROSECOND

if TYPE_CHECKING:
    from .phone_line import PhoneLine

ROTATIONS = ("user_changed_number", "customer_changed_number", "user_changed_user_id")
STRENGTH = {"typed": 4, "user_id_update": 3, "phone": 2, "body_text": 1}


@dataclass(frozen=True)
class Change:
    """One rotation or number change; ``body_bsuid`` is an old BSUID known from free text only."""

    at: datetime
    received_at: datetime
    event_id: str
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
    """The old BSUID of a body that holds exactly two ids, at its end, the second the new one."""
    words = str(body or "").split()
    ids = [word for word in words if BSUID.fullmatch(word)]
    if len(ids) != 2 or new_bsuid is None or ids[1] != new_bsuid or len(words) < 3:
        return None
    return ids[0] if words[-1] == ids[1] and words[-3] == ids[0] else None


def read_change(event: Event, nobody: Collection[str]) -> Change | None:
    """The change an event tells of, in any generation."""
    item = event.item
    body = None
    contact: Json = {}
    if event.kind == "message" and item.get("type") == "system":
        system = item.get("system") or {}
        if system.get("type") not in ROTATIONS:
            return None
        old = person(
            system.get("previous_user_id"),
            item.get("from") or system.get("customer"),
            system.get("previous_parent_user_id"),
        )
        new = person(
            system.get("user_id"),
            system.get("wa_id") or system.get("new_wa_id"),
            system.get("parent_user_id"),
        )
        if shape(system.get("previous_user_id")) == "blank":
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
        event.evidence_id,
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


def r2_candidates(changes: Sequence[Change], phones: Mapping[str, PhoneLine]) -> list[Edge]:
    """The edges each change could make, both ends resolved to nodes."""
    edges = []
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
        if new is None and change.new_phone in phones:
            new = phones[change.new_phone].first_node_from(change.at)
        if old and new:
            edges.append(Edge(old, new, STRENGTH["phone"], change, loose))
    return [edge for edge in edges if edge.old != edge.new]


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


def r2_kept(
    candidates: Sequence[Edge], variables: Variables
) -> tuple[list[Edge], set[tuple[str, tuple[str, ...]]]]:
    """Keep an edge that is strictly the strongest at both of its ends; review the ties."""
    best: dict[tuple[Node, Node], Edge] = {}
    for edge in sorted(candidates, key=lambda e: (-e.strength, e.change.order)):
        best.setdefault((edge.old, edge.new), edge)
    edges = list(best.values())
    sides = r2_told_twice(candidates, variables)

    def side(edge: Edge) -> tuple[Node, int]:
        return sides.get((edge.old, edge.new), (edge.old, edge.strength))

    reviews = set()
    kept = []
    for edge in edges:
        forks = [other for other in edges if other.old == edge.old and other.new != edge.new]
        joins = [o for o in edges if o.new == edge.new and side(o)[0] != side(edge)[0]]
        strongest_fork = max((other.strength for other in forks), default=0)
        strongest_join = max((side(other)[1] for other in joins), default=0)
        if edge.strength > strongest_fork and side(edge)[1] > strongest_join:
            kept.append(edge)
        if edge.strength == strongest_fork:
            tied = [other for other in forks if other.strength == strongest_fork]
            reviews.add(fork_review([edge, *tied]))
        if side(edge)[1] == strongest_join:
            tied = [other for other in joins if side(other)[1] == strongest_join]
            reviews.add(fork_review([edge, *tied]))
    return kept, reviews


def fork_review(tied: Iterable[Edge]) -> tuple[str, tuple[str, ...]]:
    nodes = {node for edge in tied for node in (edge.old, edge.new)}
    return ("succession_fork", tuple(sorted(label(node) for node in nodes)))


def r2_cycles(kept: Sequence[Edge]) -> set[tuple[str, tuple[str, ...]]]:
    """The cycles among kept edges; every node has at most one edge on, so they are easy to walk."""
    onward = {edge.old: edge.new for edge in kept}
    reviews = set()
    for start in onward:
        walk = [start]
        while (step := onward.get(walk[-1])) is not None and step not in walk:
            walk.append(step)
        if step == start:
            reviews.add(("succession_cycle", tuple(sorted(label(node) for node in walk))))
    return reviews
