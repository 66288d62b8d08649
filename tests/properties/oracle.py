"""The identity rules in plain Python: an oracle for the warehouse.

Written from ``docs/identity-rules.md`` and the design, not from the SQL, and for reading: each rule
is one function bearing its number (or a few), quadratic where that is simplest. ``resolve`` reads
landing records and decides every portfolio on its own; only the enterprise groups (R9) look across.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Json = dict[str, Any]
Record = Mapping[str, Any]
Node = tuple[str, str] | tuple[str, str, datetime]
Order = tuple[datetime, datetime, str, str]
Where = Node | Literal["holder_uncertain"] | None

BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
PARENT = re.compile(r"[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}")
PHONE = re.compile(r"[0-9]{5,20}")
STRENGTH = {"typed": 4, "user_id_update": 3, "phone": 2, "body_text": 1}
CLOSE_REASONS = ("succession", "number_change", "other_bsuid", "other_phone")
ROTATIONS = ("user_changed_number", "customer_changed_number", "user_changed_user_id")
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Variables:
    """The resolution parameters."""

    backfill_max_silence_days: int = 180
    number_rest_min_days: int = 45
    rotation_copy_window_days: int = 7
    username_move_max_days: int = 30
    as_of: datetime | None = None

    @property
    def silence(self) -> timedelta:
        return timedelta(days=self.backfill_max_silence_days)

    @property
    def number_rest(self) -> timedelta:
        return timedelta(days=self.number_rest_min_days)


@dataclass(frozen=True)
class Resolution:
    """What the rules say about a set of records.

    ``links`` are ``(portfolio, left, right, rule)``, ``claims`` are
    ``(portfolio, wa_id, bsuid, from, to, close_reason)``, ``leases`` are
    ``(portfolio, username, bsuid, from, to)``, ``reviews`` are ``(portfolio, kind, identifiers)``.
    ``message_customer`` gives each ``(portfolio, message id)`` a customer key or a reason for none.
    ``key_parts`` holds what each key is the hash of; ``enterprise`` the groups of R9.
    """

    customers: dict[str, frozenset[Node]]
    portfolio_of: dict[str, str]
    key_parts: dict[str, tuple[str, str, str]]
    links: set[tuple[str, Node, Node, str]]
    claims: list[tuple[str, str, str, datetime, datetime | None, str | None]]
    leases: list[tuple[str, str, str, datetime, datetime | None]]
    message_customer: dict[tuple[str, str], str]
    reviews: set[tuple[str, str, tuple[str, ...]]]
    holder_changed: set[str]
    enterprise: set[frozenset[str]]

    def partition(self) -> set[tuple[str, frozenset[Node]]]:
        """Customers as (portfolio, nodes), for comparisons that leave the keys aside."""
        return {(self.portfolio_of[key], nodes) for key, nodes in self.customers.items()}

    def only(self, *portfolios: str) -> Resolution:
        """The part that belongs to some portfolios (enterprise groups cut down to it)."""
        keys = {key for key, owner in self.portfolio_of.items() if owner in portfolios}
        groups = (group & keys for group in self.enterprise)
        return Resolution(
            {key: nodes for key, nodes in self.customers.items() if key in keys},
            {key: self.portfolio_of[key] for key in keys},
            {key: self.key_parts[key] for key in keys},
            {link for link in self.links if link[0] in portfolios},
            [claim for claim in self.claims if claim[0] in portfolios],
            [lease for lease in self.leases if lease[0] in portfolios],
            {at: to for at, to in self.message_customer.items() if at[0] in portfolios},
            {review for review in self.reviews if review[0] in portfolios},
            self.holder_changed & keys,
            {frozenset(group) for group in groups if group},
        )


# --- Events: reading and deduplication (sections 1 and 2) ---------------------------------------


@dataclass(frozen=True)
class Event:
    """One update of a webhook: a message, a status, a call, a synced contact and so on."""

    kind: str
    event_id: str
    waba_id: str
    display: str
    received_at: datetime
    occurred_at: datetime
    item: Json
    contacts: tuple[Json, ...]
    is_alone: bool  # no other update in its value
    context: Json
    content_hash: str

    @property
    def synced(self) -> bool:
        return self.kind in ("history", "sync")

    @property
    def evidence_at(self) -> datetime:
        return self.received_at if self.synced else self.occurred_at

    @property
    def message_id(self) -> str:
        return str(self.item.get("id", ""))

    @property
    def evidence_id(self) -> str:
        """What the event is called as evidence: its own id where it has one."""
        return self.message_id or self.event_id


def event_id(*parts: str) -> str:
    """Name an event by what makes it the same event: the parts of its deduplication key."""
    return hashlib.md5("|".join(parts).encode()).hexdigest()


def compact(value: Any) -> str:
    """JSON text without blanks, in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def utc(value: str | datetime) -> datetime:
    """Read an ISO 8601 moment; without a zone it is UTC."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def occurred(timestamp: Any, received_at: datetime) -> datetime:
    """The event's own time, or its receipt when that is missing, no number or over a day ahead."""
    try:
        when = datetime.fromtimestamp(int(str(timestamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return received_at
    return received_at if when - received_at > timedelta(days=1) else when


def undeliverable(status: Json) -> bool:
    """Whether nobody on WhatsApp could be reached: a failed status with error 131026."""
    errors = status.get("errors") or [{}]
    return status.get("status") == "failed" and errors[0].get("code") == 131026


def participant(status: Json) -> str:
    """The person a group status speaks of; empty for a send to one person."""
    for name in ("recipient_participant_user_id", "recipient_participant_id"):
        if str(status.get(name) or "").strip():
            return str(status[name])
    return ""


def updates(change_field: str, value: Json) -> Iterator[tuple[str, Json, Json]]:
    """The (kind, object, thread context) triples of one change value."""
    inner = {**value, **value["standby"]} if isinstance(value.get("standby"), dict) else value
    synced = change_field == "history"
    for item in inner.get("messages") or ():
        yield "history" if synced else "message", item, {}
    for item in inner.get("message_echoes") or ():
        yield "history" if synced else "echo", item, {"echo": True}
    for item in inner.get("statuses") or ():
        if item.get("type") != "call":
            yield "status", item, {}
    for chunk in inner.get("history") or ():
        for thread in chunk.get("threads") or ():
            context = {**(thread.get("context") or {}), "thread": thread.get("id")}
            for item in thread.get("messages") or ():
                yield "history", item, context
    for item in inner.get("state_sync") or ():
        yield "sync", item, {}
    for item in inner.get("calls") or ():
        yield "call", item, {}
    for item in inner.get("user_preferences") or ():
        yield "preference", item, {}
    for item in inner.get("user_id_update") or ():
        yield "user_id_update", item, {}
    for item in inner.get("groups") or ():
        yield "group", item, {}


def read_events(records: Iterable[Record]) -> list[Event]:
    """Every update of every record, copies included."""
    events = []
    for record in records:
        received_at = utc(record["received_at"])
        body = record["body"]
        body = json.loads(body) if isinstance(body, str) else body
        for entry in body["entry"]:
            waba = str(entry["id"])
            for change in entry["changes"]:
                value = change["value"]
                metadata = value.get("metadata") or {}
                display = re.sub(r"\D", "", str(metadata.get("display_phone_number") or ""))
                number = str(metadata.get("phone_number_id") or "")
                inner = value.get("standby") if isinstance(value.get("standby"), dict) else {}
                contacts = tuple((inner or {}).get("contacts") or value.get("contacts") or ())
                found = list(updates(change["field"], value))
                for kind, item, context in found:
                    if kind in ("message", "echo", "history"):
                        key = ("message", waba, str(item["id"]))
                    elif kind == "status":
                        key = (kind, waba, str(item["id"]), item["status"], participant(item))
                    elif kind == "call":
                        key = (kind, waba, str(item["id"]), item["event"])
                    else:
                        key = (change["field"], waba, number, compact(item))
                    stamp = item.get("timestamp", (item.get("metadata") or {}).get("timestamp"))
                    content = compact([item, contacts, context])
                    events.append(
                        Event(
                            kind,
                            event_id(*key),
                            waba,
                            display,
                            received_at,
                            occurred(stamp, received_at),
                            item,
                            contacts,
                            len(found) == 1,
                            context,
                            hashlib.md5(content.encode()).hexdigest(),
                        )
                    )
    return events


def deduplicate(events: Iterable[Event]) -> list[Event]:
    """Keep the copy received first; of copies received together the smallest content hash."""
    kept: dict[str, Event] = {}
    for event in sorted(events, key=lambda e: (e.received_at, e.content_hash)):
        kept.setdefault(event.event_id, event)
    return list(kept.values())


def portfolio_of(waba: str, at: datetime, accounts: Sequence[Mapping[str, Any]]) -> str:
    """The portfolio a WABA belonged to; an unmapped one is its own."""
    for row in accounts:
        if row["waba_id"] == waba:
            begin, end = row.get("valid_from"), row.get("valid_to")
            if (not begin or utc(begin) <= at) and (not end or at < utc(end)):
                return row["portfolio_id"]
    return f"waba:{waba}"


# --- Observations (section 3) -------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """The identifiers one object shows, classified by shape before field name."""

    bsuid: str | None = None
    phone: str | None = None
    parent: str | None = None
    malformed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """One place where identifiers were seen. ``paired_at`` is the date of its pairing."""

    event_id: str
    path: str
    received_at: datetime
    occurred_at: datetime
    evidence_at: datetime
    paired_at: datetime
    bsuid: str | None
    phone: str | None
    parent: str | None = None
    username: str | None = None
    name: str | None = None
    tier: int = 1
    direction: str = "none"
    is_status: bool = False
    is_failed: bool = False
    is_undeliverable: bool = False
    is_sync: bool = False
    is_live: bool = True
    is_message_contact: bool = False
    message_id: str | None = None
    was_ignored: bool = False

    @property
    def order(self) -> Order:
        return (self.evidence_at, self.received_at, self.event_id, self.path)

    @property
    def pairing_order(self) -> Order:
        return (self.paired_at, self.received_at, self.event_id, self.path)

    @property
    def is_pairing(self) -> bool:
        return self.bsuid is not None and self.phone is not None

    @property
    def pair(self) -> tuple[str, str]:
        return (self.bsuid or "", self.phone or "")


def shape(value: Any) -> str:
    """What a value is: bsuid, parent, phone, blank or malformed."""
    if value is None or not str(value).strip():
        return "blank"
    text = str(value)
    for name, pattern in (("bsuid", BSUID), ("parent", PARENT), ("phone", PHONE)):
        if pattern.fullmatch(text):
            return name
    return "malformed"


def person(bsuid: Any = None, phone: Any = None, parent: Any = None) -> Person:
    """Classify three slots. The BSUID slot wins over a BSUID in the phone slot."""
    slots = (bsuid, phone, parent)

    def first(kind: str, *values: Any) -> str | None:
        return next((str(value) for value in values if shape(value) == kind), None)

    return Person(
        first("bsuid", bsuid, phone),
        first("phone", phone),
        first("parent", parent, bsuid, phone),
        tuple(str(value) for value in slots if shape(value) == "malformed"),
    )


def contact_person(contact: Json) -> Person:
    return person(contact.get("user_id"), contact.get("wa_id"), contact.get("parent_user_id"))


def joined_contact(who: Person, event: Event) -> Json | None:
    """The contact of an object: by id, else by phone, else the only one; never against its id.

    The only contact may show another phone (another spelling) only for the only object.
    """
    contacts = event.contacts
    for contact in contacts:
        if who.bsuid and contact_person(contact).bsuid == who.bsuid:
            return contact
    rest = [c for c in contacts if not (who.bsuid and contact_person(c).bsuid)]
    for contact in rest:
        if who.phone and contact_person(contact).phone == who.phone:
            return contact
    differs = bool(rest and who.phone and contact_person(rest[0]).phone)
    return rest[0] if len(contacts) == 1 and rest and (event.is_alone or not differs) else None


def handle(value: Any) -> str | None:
    """A username, lower-cased and without one leading @."""
    text = str(value or "").strip().lower().removeprefix("@")
    return text or None


def people(event: Event, own: Collection[str]) -> Iterator[tuple[str, Person, str, Json]]:
    """The persons of an event as (path, person, direction, extras)."""
    item, context = event.item, event.context
    sender = person(item.get("from_user_id"), item.get("from"), item.get("from_parent_user_id"))
    receiver = person(item.get("to_user_id"), item.get("to"), item.get("to_parent_user_id"))
    if event.kind == "message":
        if item.get("type") != "system":
            yield "sender", sender, "inbound", {"name": True}
        elif (item.get("system") or {}).get("type") == "customer_identity_changed":
            yield "identity_changed", sender, "none", {}
    elif event.kind == "echo":
        yield "recipient", receiver, "outbound", {}
    elif event.kind == "history":
        ours = sender.phone is not None and (sender.phone == event.display or sender.phone in own)
        shown = receiver if ours or context.get("echo") else sender
        thread = person(context.get("user_id"), context.get("wa_id"), context.get("parent_user_id"))
        thread_id = person(phone=context.get("thread"))
        merged = Person(
            shown.bsuid or thread.bsuid or thread_id.bsuid,
            shown.phone or thread.phone or thread_id.phone,
            shown.parent or thread.parent,
            shown.malformed + thread.malformed,
        )
        direction = "outbound" if ours or context.get("echo") else "inbound"
        yield "thread", merged, direction, {"username": context.get("username"), "name": True}
    elif event.kind == "status":
        if item.get("recipient_type") == "group":
            ids = ("recipient_participant_user_id", "recipient_participant_id")
            parents = ("recipient_participant_parent_user_id",)
        else:
            ids = ("recipient_user_id", "recipient_id")
            parents = (
                "recipient_parent_user_id",
                "parent_recipient_user_id",
                "parent_user_id",
            )
        parent = next((item[name] for name in parents if item.get(name)), None)
        yield "recipient", person(item.get(ids[0]), item.get(ids[1]), parent), "outbound", {}
    elif event.kind == "call":
        if "from_user_id" in item or item.get("direction") == "USER_INITIATED":
            yield "caller", sender, "inbound", {}
        else:
            yield "callee", receiver, "outbound", {}
    elif event.kind == "preference":
        who = person(item.get("user_id"), item.get("wa_id"), item.get("parent_user_id"))
        yield "person", who, "inbound", {"name": True}
    elif event.kind == "sync":
        contact = item.get("contact") or {}
        ids = (contact.get("user_id"), contact.get("phone_number"), contact.get("parent_user_id"))
        yield "contact", person(*ids), "none", {"username": contact.get("username")}
    elif event.kind == "group":
        joined = str(item.get("type", "")).endswith(("_add", "_created"))
        members = [item] if item.get("user_id") or item.get("wa_id") else []
        for name in ("added_participants", "removed_participants"):
            members += item.get(name) or []
        for place, member in enumerate(members):
            direction = "inbound" if joined else "none"
            yield (
                f"participant{place}",
                contact_person(member),
                direction,
                {"username": member.get("username")},
            )


def attested_phones(event: Event) -> list[str]:
    """The phones of a ``contact_request``; any other card is declared data and never identity."""
    item = event.item
    if event.kind != "message" or item.get("type") != "contacts":
        return []
    phones = []
    for card in item.get("contacts") or ():
        if (card.get("origin") or item.get("origin")) == "contact_request":
            phones += [entry.get("wa_id") for entry in card.get("phones") or ()]
    return [str(phone) for phone in phones if shape(phone) == "phone"]


def observe(
    events: Iterable[Event],
    ignored: Collection[str],
    own: Collection[str],
    first_status: Mapping[tuple[str, str], datetime],
) -> tuple[list[Observation], set[str]]:
    """All observations of one portfolio but those made from changes, and the malformed values."""
    found: list[Observation] = []
    malformed: set[str] = set()
    nobody = set(ignored) | set(own)
    for event in events:
        is_status = event.kind == "status"
        for path, shown, direction, extra in people(event, own):
            contact = joined_contact(shown, event)
            known = contact_person(contact) if contact else Person()
            malformed.update(shown.malformed + known.malformed)
            profile = (contact or {}).get("profile") or {}
            bsuid, phone = shown.bsuid or known.bsuid, shown.phone or known.phone
            keep = Person(
                None if bsuid in nobody else bsuid,
                None if phone in nobody else phone,
                shown.parent or known.parent,
            )
            seen = Observation(
                event_id=event.evidence_id,
                path=path,
                received_at=event.received_at,
                occurred_at=event.occurred_at,
                evidence_at=event.evidence_at,
                paired_at=first_status[event.waba_id, event.message_id]
                if is_status
                else event.evidence_at,
                bsuid=keep.bsuid,
                phone=keep.phone,
                parent=keep.parent,
                username=handle(extra.get("username") or profile.get("username")),
                name=profile.get("name") if extra.get("name") else None,
                direction=direction,
                is_status=is_status,
                is_failed=is_status and event.item.get("status") == "failed",
                is_undeliverable=is_status and undeliverable(event.item),
                is_sync=event.kind == "sync",
                is_live=not event.synced,
                is_message_contact=event.kind == "message" and contact is not None,
                message_id=event.message_id
                if event.kind in ("message", "echo", "history", "status")
                and event.item.get("type") != "system"
                else None,
                was_ignored=(bsuid, phone) != (keep.bsuid, keep.phone),
            )
            found.append(seen)
            for phone in attested_phones(event):
                if seen.bsuid and phone not in nobody:
                    found.append(
                        replace(
                            seen,
                            path=f"shared:{phone}",
                            phone=phone,
                            parent=None,
                            username=None,
                            name=None,
                            tier=2,
                            is_message_contact=False,
                            message_id=None,
                        )
                    )
    return found, malformed


# --- R2: rotations and number changes (section 4) -----------------------------------------------


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


# --- R3: phone claims (section 5) ---------------------------------------------------------------


@dataclass
class Claim:
    """A BSUID's hold on a phone, half-open; ``taken_by`` is the BSUID or phone that closed it."""

    phone: str
    bsuid: str
    opened: Observation
    start: datetime
    end: datetime | None
    reason: str | None
    taken_by: str | None
    openers: list[Observation] = field(default_factory=list)
    last_paired_at: datetime | None = None


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
) -> list[Claim]:
    """Open, continue and close the claims, in the order of their openers."""
    openers = r3_openers(pairings)
    away: dict[str, list[datetime]] = defaultdict(list)
    for change in changes:
        for bsuid in change.old_names - {change.new_bsuid}:
            away[bsuid].append(change.at)
    claims: dict[tuple[str, str, datetime | None], Claim] = {}
    for opener in openers:
        closers: list[tuple[datetime, int, Order | None, str | None]] = []
        for other in openers:
            if other.pairing_order > opener.pairing_order:
                if other.phone == opener.phone and other.bsuid != opener.bsuid:
                    closers.append((other.paired_at, 2, other.pairing_order, other.bsuid))
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


# --- Phone segments (section 6) -----------------------------------------------------------------


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
        return [seen for seen in self.inbound if plain_name(seen.name)]


class PhoneLine:
    """One phone over time: claims, cuts, uncertain tails and the segments in what is left."""

    def __init__(
        self,
        phone: str,
        claims: Sequence[Claim],
        cuts: Sequence[datetime],
        phone_only: Sequence[Observation],
        owner_signs: Sequence[tuple[datetime, bool]],
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
        return before[-1] if before else datetime.min.replace(tzinfo=UTC)

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
        for stretch, found in loose.items():
            live = [seen for seen in found if seen.direction == "inbound" and seen.is_live]
            contacts = [seen for seen in found if seen.path != "identity_changed"]
            since = min((seen.evidence_at for seen in contacts), default=None)
            self.breaks[stretch] = breaks(live, since, self.owner_signs, variables)
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
        return min(later, key=lambda pair: pair[0])[1] if later else None

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


def r5_owner_signs(
    observations: Iterable[Observation],
    identity_changes: Iterable[tuple[str, datetime]],
    variables: Variables,
) -> dict[str, list[tuple[datetime, bool]]]:
    """When a phone showed a sign of a new owner: a new key, or life after a rest out of reach (true)."""
    alive: dict[str, set[datetime]] = defaultdict(set)
    dead: dict[str, set[datetime]] = defaultdict(set)
    signs: dict[str, set[tuple[datetime, bool]]] = defaultdict(set)
    for phone, at in identity_changes:
        signs[phone].add((at, False))
    for seen in observations:
        reached = seen.is_status and not seen.is_failed
        if seen.phone and seen.is_undeliverable:
            dead[seen.phone].add(seen.paired_at)
        elif seen.phone and seen.tier == 1 and seen.is_live:
            if reached or seen.direction == "inbound":
                alive[seen.phone].add(seen.paired_at)
    for phone, failures in dead.items():
        contacts = sorted(alive[phone])
        for before, at in zip(contacts, contacts[1:], strict=False):
            rested = at - before >= variables.number_rest
            if rested and any(before < failed < at for failed in failures):
                signs[phone].add((at, True))
    return {phone: sorted(times) for phone, times in signs.items()}


def breaks(
    live: Sequence[Observation],
    since: datetime | None,
    owner_signs: Sequence[tuple[datetime, bool]],
    variables: Variables,
) -> list[datetime]:
    """Where a new segment begins, by silence or a sign of a new owner between inbound sightings
    (or first contact, ``since``, and the first): unless the names around it agree, or it is a new
    key only and a name is missing."""
    runs: list[tuple[datetime | None, bool, list[Observation]]] = []
    for seen in live:
        before = runs[-1][2][-1].evidence_at if runs else None
        begin = before or since
        signs = [(at, rest) for at, rest in owner_signs if begin and begin < at <= seen.evidence_at]
        silent = before is not None and seen.evidence_at - before > variables.silence
        if signs or silent or not runs:
            begins = signs[-1][0] if signs else seen.evidence_at if silent else None
            runs.append((begins, silent or any(rest for _, rest in signs), [seen]))
        else:
            runs[-1][2].append(seen)
    found = [begins for begins, _, _ in runs[:1] if begins]
    for (_, _, former), (begins, absent, later) in zip(runs, runs[1:], strict=False):
        last = [name for seen in former if (name := plain_name(seen.name))]
        first = [name for seen in later if (name := plain_name(seen.name))]
        same = last[-1] == first[0] if last and first else not absent
        if begins and not same:
            found.append(begins)
    return found


# --- Names and R5: backfill (section 7) ---------------------------------------------------------


def plain_name(name: str | None) -> str | None:
    """A name as it is compared; one without a letter or digit is no name."""
    text = " ".join(unicodedata.normalize("NFC", name or "").split()).lower()
    return text if any(character.isalnum() for character in text) else None


class Names:
    """The names of nodes over time, carried along succession."""

    def __init__(
        self,
        observations: Iterable[Observation],
        segments: Mapping[Node, Segment],
        kept: Iterable[Edge],
    ) -> None:
        self.inbound: dict[str, list[Observation]] = defaultdict(list)
        for seen in sorted(observations, key=lambda o: o.order):
            if seen.bsuid and seen.direction == "inbound" and plain_name(seen.name):
                self.inbound[seen.bsuid].append(seen)
        self.segments = segments
        self.predecessors: dict[Node, list[Node]] = defaultdict(list)
        for edge in kept:
            self.predecessors[edge.new].append(edge.old)

    def named(self, node: Node) -> list[Observation]:
        if node[0] == "bsuid":
            return self.inbound.get(node[1], [])
        return self.segments[node].named

    def up_to(self, node: Node, at: datetime) -> str | None:
        """The latest name up to a moment, else that of the nearest predecessor with one."""
        generation, visited = [node], {node}
        while generation:
            for one in sorted(generation, key=lambda n: (n[0], label(n))):
                if own := [seen for seen in self.named(one) if seen.evidence_at <= at]:
                    return plain_name(own[-1].name)
            older = {before for one in generation for before in self.predecessors.get(one, ())}
            generation = list(older - visited)
            visited |= older
        return None

    def of_bsuid(self, bsuid: str, at: datetime) -> str | None:
        """A BSUID's name at a pairing: up to it, else carried, else the first one after it."""
        node: Node = ("bsuid", bsuid)
        return self.up_to(node, at) or next(
            (plain_name(seen.name) for seen in self.named(node)), None
        )


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


# --- R4: username leases (section 8) ------------------------------------------------------------


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


# --- R6, R7, R8: what is not joined -------------------------------------------------------------


def r6_holder_changed(
    claims: Iterable[Claim], customer_of: Callable[[Node], str]
) -> tuple[set[str], set[tuple[str, tuple[str, ...]]]]:
    """Customers that lost a number to another customer, and the questions that raises."""
    lost, reviews = set(), set()
    by_phone: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_phone[claim.phone].append(claim)
        if claim.reason == "other_phone":
            pair = (claim.bsuid, claim.phone, claim.taken_by or "")
            reviews.add(("bsuid_two_phones", tuple(sorted(pair))))
        if claim.reason != "other_bsuid":
            continue
        loser = customer_of(("bsuid", claim.bsuid))
        if loser != customer_of(("bsuid", claim.taken_by or "")):
            lost.add(loser)
            pair = (claim.phone, claim.bsuid, claim.taken_by or "")
            reviews.add(("phone_two_bsuids", tuple(sorted(pair))))
    for phone, held in by_phone.items():
        for place, claim in enumerate(held):
            for between in held[:place]:
                came_back = any(
                    before.bsuid == claim.bsuid for before in held[: held.index(between)]
                )
                strangers = customer_of(("bsuid", between.bsuid)) != customer_of(
                    ("bsuid", claim.bsuid)
                )
                if came_back and strangers and claim.opened.direction == "inbound":
                    pair = (phone, claim.bsuid, between.bsuid)
                    reviews.add(("flapping_phone", tuple(sorted(pair))))
    return lost, reviews


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


def r8_void(
    pairings: Sequence[Observation], changes: Sequence[Change], variables: Variables
) -> tuple[set[tuple[str, str]], set[tuple[str, tuple[str, ...]]]]:
    """The attested pairings, as (event id, path), of numbers that somebody else was just seen with.

    Joined with the sender counts by succession through named BSUIDs only, as the phone-derived ones
    need the claims, which need this.
    """
    named = [edge for edge in r2_candidates(changes, {}) if edge.strength != STRENGTH["phone"]]
    kept, _ = r2_kept(named, variables)
    groups = Components()
    for edge in kept:
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


# --- R9, R10, R11: customers, keys, overrides ---------------------------------------------------


class Components:
    """Connected components, by merging."""

    def __init__(self) -> None:
        self._up: dict[Any, Any] = {}

    def root(self, node: Any) -> Any:
        self._up.setdefault(node, node)
        while self._up[node] != node:
            node = self._up[node]
        return node

    def join(self, left: Any, right: Any) -> None:
        self._up[self.root(left)] = self.root(right)

    def groups(self) -> list[frozenset[Any]]:
        found: dict[Any, set[Any]] = defaultdict(set)
        for node in self._up:
            found[self.root(node)].add(node)
        return [frozenset(group) for group in found.values()]


def label(node: Node) -> str:
    """A node as text: its identifier, with the opening time for a segment."""
    return node[1] if node[0] == "bsuid" else f"{node[1]}@{moment_text(node[2])}"


def moment_text(when: datetime) -> str:
    """ISO 8601 with microseconds, in UTC, without a zone."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def r9_enterprise(
    parents: Iterable[tuple[str, str]], successions: Iterable[tuple[str, str]]
) -> set[frozenset[str]]:
    """Group customers, across portfolios, that showed an equal or succeeding parent BSUID."""
    groups = Components()
    for customer, parent in parents:
        groups.join(("customer", customer), ("parent", parent))
    for old, new in successions:
        groups.join(("parent", old), ("parent", new))
    found = (
        frozenset(name for kind, name in group if kind == "customer") for group in groups.groups()
    )
    return {group for group in found if group}


def r10_key(observations: Iterable[tuple[datetime, str, str]]) -> tuple[str, tuple[str, str, str]]:
    """The key of a customer and what it is the hash of: its earliest observation."""
    received_at, event, identifier = min(observations)
    parts = (moment_text(received_at), event, identifier)
    return hashlib.md5("|".join(parts).encode()).hexdigest(), parts


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


# --- One portfolio, and all of them -------------------------------------------------------------


@dataclass
class Decided:
    """The result of one portfolio, before keys from other portfolios matter."""

    customers: dict[str, frozenset[Node]]
    key_parts: dict[str, tuple[str, str, str]]
    links: set[tuple[Node, Node, str]]
    claims: list[Claim]
    leases: list[tuple[str, str, datetime, datetime | None]]
    messages: dict[str, str]
    reviews: set[tuple[str, tuple[str, ...]]]
    holder_changed: set[str]
    parents: set[tuple[str, str]]
    parent_successions: set[tuple[str, str]]


def decide(
    events: Sequence[Event],
    overrides: Sequence[Mapping[str, Any]],
    ignored: Collection[str],
    first_status: Mapping[tuple[str, str], datetime],
    as_of: datetime,
    variables: Variables,
) -> Decided:
    """Apply every rule to the events of one portfolio."""
    own = {event.display for event in events if event.display}
    nobody = own | set(ignored)
    shown, malformed = observe(events, ignored, own, first_status)
    reviews = {("malformed_identifier", (value,)) for value in malformed}

    raw = [change for event in events if (change := read_change(event, nobody))]
    changes = r2_changes(raw, variables)
    cuts = r2_cuts(changes)
    shown += r2_sightings(raw, changes)

    void, found = r8_void([seen for seen in shown if seen.is_pairing], changes, variables)
    reviews |= found
    observations = [seen for seen in shown if (seen.event_id, seen.path) not in void]
    pairings = [seen for seen in observations if seen.is_pairing]
    claims = r3_claims(pairings, changes, cuts)

    phone_only = [
        replace(seen, evidence_at=seen.paired_at)
        for seen in observations
        if seen.phone and not seen.bsuid
    ]
    phones = {seen.phone for seen in pairings + phone_only} | set(cuts)
    owner_signs = r5_owner_signs(observations, identity_key_changes(events), variables)
    lines = {
        phone: PhoneLine(
            phone,
            [claim for claim in claims if claim.phone == phone],
            cuts.get(phone, []),
            [seen for seen in phone_only if seen.phone == phone],
            owner_signs.get(phone, []),
            variables,
        )
        for phone in sorted(phone for phone in phones if phone)
    }
    segments = {s.node: s for line in lines.values() for s in line.segments.values()}
    nodes: set[Node] = {("bsuid", seen.bsuid) for seen in observations if seen.bsuid}
    nodes |= set(segments)

    must, cannot, found = r11_overrides(overrides, nodes, lines, as_of)
    reviews |= found
    forbidden = {frozenset(pair) for pair in cannot}

    candidates = r2_candidates(changes, lines)
    kept, found = r2_kept(candidates, variables)
    reviews |= found | r2_cycles(kept)
    allowed = [edge for edge in kept if frozenset((edge.old, edge.new)) not in forbidden]
    names = Names(observations, segments, allowed)
    evidence_for_r5 = (lines, names, candidates, changes, pairings)
    uncut, _ = r5_backfill(*evidence_for_r5, set(), variables)
    backfilled, found = r5_backfill(*evidence_for_r5, forbidden, variables)
    reviews |= found
    existing = {frozenset((edge.old, edge.new)) for edge in kept}
    existing |= {frozenset((left, right)) for left, right, _ in uncut}
    for left, right in cannot:
        if frozenset((left, right)) not in existing:
            reviews.add(("override_problem", tuple(sorted((left[1], right[1])))))

    links = {(edge.old, edge.new, "R2") for edge in allowed} | set(backfilled)
    links |= {(left, right, "R11") for left, right in must}
    groups = Components()
    for node in nodes:
        groups.root(node)
    for left, right, _ in links:
        groups.join(left, right)

    evidence: dict[Node, list[tuple[datetime, str, str]]] = defaultdict(list)
    for seen in observations:
        if seen.bsuid:
            evidence["bsuid", seen.bsuid].append((seen.received_at, seen.event_id, seen.bsuid))
    for node, segment in segments.items():
        evidence[node] += [(o.received_at, o.event_id, o.phone or "") for o in segment.observations]
    customers, key_parts, key_of = {}, {}, {}
    for group in groups.groups():
        key, parts = r10_key(one for node in group for one in evidence[node])
        customers[key], key_parts[key] = group, parts
        key_of |= dict.fromkeys(group, key)

    lost, found = r6_holder_changed(claims, key_of.__getitem__)
    reviews |= found
    leases = r4_leases(observations)
    reviews |= r7_missed_successions(observations, leases, names, key_of.__getitem__, variables)

    def customer_seen(seen: Observation) -> str:
        if seen.bsuid:
            return key_of["bsuid", seen.bsuid]
        if seen.phone:
            line = lines[seen.phone]
            found = line.attribute(seen.paired_at)
            if found is None:
                found = r2_mover(seen.phone, line.bound(seen.paired_at), changes, lines)
            if isinstance(found, tuple):
                return key_of[found]
            return found or "never_reached"
        return "ignored" if seen.was_ignored else "no_identifier"

    parents = {
        (customer, seen.parent)
        for seen in observations
        if seen.parent and (customer := customer_seen(seen)) in customers
    }
    return Decided(
        customers,
        key_parts,
        links,
        claims,
        leases,
        attribute_messages(events, observations, customer_seen),
        reviews,
        lost,
        parents,
        {(c.old_parent, c.new_parent) for c in raw if c.old_parent and c.new_parent},
    )


def identity_key_changes(events: Iterable[Event]) -> list[tuple[str, datetime]]:
    """The (phone, time) of every ``customer_identity_changed``."""
    found = []
    for event in events:
        system = event.item.get("system") or {}
        if event.kind == "message" and system.get("type") == "customer_identity_changed":
            phone = person(phone=event.item.get("from") or system.get("customer")).phone
            if phone:
                found.append((phone, event.evidence_at))
    return found


def attribute_messages(
    events: Iterable[Event],
    observations: Iterable[Observation],
    customer_seen: Callable[[Observation], str],
) -> dict[str, str]:
    """Every message's customer: by the first observation with a BSUID, else the first one."""
    group_sends, own_message = set(), set()
    for event in events:
        if event.kind == "status" and event.item.get("recipient_type") == "group":
            group_sends.add(event.message_id)
        elif event.kind in ("message", "echo", "history"):
            own_message.add(event.message_id)
    shown: dict[str, list[Observation]] = defaultdict(list)
    for seen in observations:
        if seen.message_id:
            shown[seen.message_id].append(seen)
    result = {}
    for message, found in shown.items():
        if message in group_sends - own_message:
            result[message] = "group_send"
            continue
        best = min(found, key=lambda o: (o.bsuid is None, o.phone is None, o.order))
        result[message] = customer_seen(best)
    return result


def resolve(
    records: Iterable[Record],
    business_accounts: Sequence[Mapping[str, Any]],
    overrides: Sequence[Mapping[str, Any]] = (),
    variables: Variables | None = None,
    ignored: Sequence[Mapping[str, Any] | str] = (),
) -> Resolution:
    """Resolve landing records to customers.

    ``business_accounts``, ``overrides`` and ``ignored`` are rows as in the seeds; a bare identifier
    in ``ignored`` holds in every portfolio. The order of the records does not matter.
    """
    variables = variables or Variables()
    events = deduplicate(read_events(records))
    as_of = variables.as_of or max((e.received_at for e in events), default=datetime.now(UTC))
    first_status: dict[tuple[str, str], datetime] = {}
    by_portfolio: dict[str, list[Event]] = defaultdict(list)
    homes: dict[str, set[str]] = defaultdict(set)
    ordered = sorted(events, key=lambda e: (e.evidence_at, e.received_at, e.event_id))
    for event in ordered:
        if event.kind == "status":
            first_status.setdefault((event.waba_id, event.message_id), event.evidence_at)
    for event in ordered:
        at = event.evidence_at
        if event.kind == "status":
            at = first_status[event.waba_id, event.message_id]
        portfolio = portfolio_of(event.waba_id, at, business_accounts)
        by_portfolio[portfolio].append(event)
        homes[portfolio].add(event.waba_id)

    whole = Resolution({}, {}, {}, set(), [], [], {}, set(), set(), set())
    parents: set[tuple[str, str]] = set()
    successions: set[tuple[str, str]] = set()
    for portfolio, mine in by_portfolio.items():
        rows = [row for row in overrides if row["portfolio_id"] == portfolio]
        nobody = {row for row in ignored if isinstance(row, str)} | {
            row["identifier_value"]
            for row in ignored
            if not isinstance(row, str) and row["portfolio_id"] == portfolio
        }
        one = decide(mine, rows, nobody, first_status, as_of, variables)
        whole.customers.update(one.customers)
        whole.portfolio_of.update(dict.fromkeys(one.customers, portfolio))
        whole.key_parts.update(one.key_parts)
        whole.links.update((portfolio, *link) for link in one.links)
        whole.claims.extend(
            (portfolio, c.phone, c.bsuid, c.start, c.end, c.reason) for c in one.claims
        )
        whole.leases.extend((portfolio, *lease) for lease in one.leases)
        for message, customer in one.messages.items():
            whole.message_customer[portfolio, message] = customer
        whole.reviews.update((portfolio, *review) for review in one.reviews)
        if portfolio.startswith("waba:"):
            waba = portfolio.removeprefix("waba:")
            whole.reviews.add((portfolio, "unmapped_waba", (waba,)))
        whole.holder_changed.update(one.holder_changed)
        parents |= one.parents
        successions |= one.parent_successions
    never = datetime.max.replace(tzinfo=UTC)
    whole.claims.sort(key=lambda c: (c[0], c[1], c[3], c[2], c[4] or never))
    whole.leases.sort(key=lambda c: (c[0], c[1], c[3], c[2], c[4] or never))
    whole.enterprise.update(r9_enterprise(parents, successions))
    return whole
