"""Hypothesis strategies for small, hostile histories of one portfolio, and ways to rearrange them.

A case is a story of a few persons who write, rotate, swap and lose numbers, told by webhooks that
come late, twice or not at all. ``place`` moves a case into a portfolio of its own, so that hundreds
of them fit in one build while BSUIDs and phones stay the same across portfolios.
"""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from . import wire
from .wire import Json, Record

PHONES = ("5511900000001", "5511900000002", "5521987650003")
OTHER_SPELLING = {PHONES[2]: "552187650003"}
BSUIDS = ("BR.1001", "BR.1002", "BR.1003", "US.2001")
PARENTS = ("BR.ENT.9001", "BR.ENT.9002")
NAMES = (
    "Ana", " ana ", "ANA", "Bob", "Bob", "", "🌸", "José", "Jose\u0301", None,
    "Ana Souza", "ana  souza", "Bob Lima", "Ana 🌸",
)  # fmt: skip
USERNAMES = (None, None, "ana.souza", "@Ana.Souza", "bo.k")
WABAS = ("200000000000001", "200000000000002")
NUMBERS = (
    {"waba": WABAS[0], "number": "300000000000001", "display": "15550001111"},
    {"waba": WABAS[0], "number": "300000000000002", "display": "15550002222"},
    {"waba": WABAS[1], "number": "300000000000003", "display": "15550003333"},
)
START = datetime(2025, 6, 1, 12, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)

Choose = Callable[[int], int]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
STEPS = (
    0 * DAY, 0 * DAY, SECOND, HOUR, DAY, DAY, 6 * DAY, 7 * DAY, 8 * DAY, 29 * DAY, 31 * DAY,
    44 * DAY, 45 * DAY, 46 * DAY, 90 * DAY, 91 * DAY, 179 * DAY, 180 * DAY, 181 * DAY, 366 * DAY,
)  # fmt: skip
BODY_TIMES = (
    datetime(2026, 5, 3, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 5, 4, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
    datetime(2026, 8, 18, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 8, 19, tzinfo=UTC),
)
CALLED = ("bsuid", "phone", "parent")
DELAYS = (0 * DAY, 2 * SECOND, 2 * SECOND, HOUR, 3 * DAY, 8 * DAY, 40 * DAY)
BACKWARDS = (0 * DAY, 0 * DAY, 0 * DAY, SECOND, HOUR, 2 * DAY, 30 * DAY)

KINDS = (
    *("message",) * 6,
    *("status",) * 3,
    *("rotate",) * 5,
    *("phone_move",) * 2,
    *("contact_request",) * 3,
    *("stranger",) * 2,
    "recycle",
    "rename",
    "echo",
    "history",
    "sync",
    "call",
    "card",
    "group_send",
    "group_join",
    "identity_changed",
    "preference",
    "failed",
    "malformed",
    "empty_phone",
    "bsuid_as_phone",
    "wrong_clock",
    "standby_copy",
    "user_id_update",
    "fork",
    "join",
    *("outbound_first",) * 2,
    *("notified",) * 2,
    "same_instant",
    "other_waba",
    "other_waba",
    "no_id",
    "lent_contact",
    "written_phone",
    "hidden_history",
    "bsuid_in_change",
    "tour",
    "long_wait",
    "body_text",
    "recording",
    "call_status",
    "parent_failed",
    "other_spelling",
)


@dataclass(frozen=True)
class Case:
    """Records of one portfolio; ``moved_at`` is when its second WABA came from another one."""

    records: tuple[Record, ...]
    moved_at: datetime | None = None


@dataclass(frozen=True)
class Placed:
    """A case in a portfolio of its own, with the rows that map its WABAs there."""

    portfolio_id: str
    records: tuple[Record, ...]
    business_accounts: tuple[dict[str, str], ...]


@dataclass
class _Person:
    bsuid: str
    phone: str
    name: str | None
    username: str | None
    parent: str | None
    hidden: bool = False


@dataclass
class _Story:
    """The state of the world while a case is told."""

    choose: Choose
    persons: list[_Person]
    now: datetime = START
    records: list[Record] = field(default_factory=list)
    sent: dict[str, tuple[_Person, bool, list[str]]] = field(default_factory=dict)
    last_received: datetime = START
    counter: int = 0
    phone_era: int = 0

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[self.choose(len(choices))]

    def chance(self, one_in: int) -> bool:
        return self.choose(one_in) == one_in - 1

    def new_id(self) -> str:
        self.counter += 1
        return f"wamid.M{self.counter}"

    def place(self) -> tuple[datetime, Json]:
        """When the next event happens, when it is received and at which business number."""
        at = max(START, self.now - self.pick(BACKWARDS))
        received = at + self.pick(DELAYS)
        if self.last_received >= at and self.chance(3):
            received = self.last_received
        self.last_received = received
        return at, {"received": received, **self.pick(NUMBERS)}

    def shown(self, person: _Person, *, name: bool = True) -> Json:
        """What a payload shows of a person: both ids, one of them, sometimes a parent."""
        sight = self.pick(("both", "both", "bsuid", "bsuid", "phone"))
        if len(self.records) < self.phone_era:
            sight = "phone"
        elif person.hidden and not self.chance(6):
            sight = "bsuid"
        seen = {
            "bsuid": None if sight == "phone" else person.bsuid,
            "phone": None if sight == "bsuid" else person.phone,
            "username": person.username if sight != "phone" else None,
            "parent": person.parent if sight != "phone" else None,
        }
        return {**seen, "name": person.name} if name else seen


def _move(story: _Story, person: _Person) -> None:
    """A person gets a new BSUID, perhaps a new number; the news may be lost, doubled or late."""
    old_bsuid, old_phone = person.bsuid, person.phone
    person.bsuid = story.pick(BSUIDS)
    if story.chance(2):
        person.phone = story.pick(PHONES)
    if person.bsuid == old_bsuid and person.phone == old_phone:
        return
    old_parent = person.parent
    if person.parent:
        person.parent = story.pick(PARENTS)
    fate = story.pick(("told", "told", "told", "lost", "twice", "twice"))
    if fate == "lost":
        return
    generation = story.pick(("typed", "typed", "typed", "body", "body", "phones"))
    at, where = story.place()
    for place in range(2 if fate == "twice" else 1):
        if place:
            at += story.pick((0 * DAY, SECOND, 6 * DAY, 7 * DAY, 8 * DAY))
            where = {**story.pick(NUMBERS), "received": at + story.pick(DELAYS)}
        with_old, with_new = not story.chance(3), not story.chance(3)
        phones = {
            "old_phone": old_phone if with_old else None,
            "new_phone": person.phone if with_new else None,
        }
        if generation == "phones":
            if old_phone == person.phone:
                return
            story.records.append(
                wire.number_change(
                    at, old_phone, person.phone, v11=story.chance(3), id=story.new_id(), **where
                )
            )
        elif old_bsuid == person.bsuid:
            return
        elif generation == "typed":
            parents = {"old_parent": old_parent, "new_parent": person.parent}
            story.records.append(
                wire.rotation(
                    at, old_bsuid, person.bsuid, id=story.new_id(), **phones, **parents, **where
                )
            )
        else:
            name = story.pick(("Ana", "Ana", f"{BSUIDS[0]} to {BSUIDS[1]}", "x BR.1003"))
            tail = story.pick(("", "", "", " !"))
            body = f"User {name} changed from {old_bsuid} to {person.bsuid}{tail}"
            story.records.append(
                wire.rotation_in_body(
                    at, person.bsuid, body=body, id=story.new_id(), **phones, **where
                )
            )


def _status(story: _Story, person: _Person) -> None:
    """The next status of an earlier message, or the first one of a new message."""
    open_sends = [key for key, (_, _, rest) in story.sent.items() if rest]
    if open_sends and story.chance(2):
        key = story.pick(open_sends)
    else:
        key = story.new_id()
        to_phone = story.chance(2)
        story.sent[key] = (copy.copy(person), to_phone, ["sent", "delivered", "read"])
    target, to_phone, rest = story.sent[key]
    at, where = story.place()
    shown = story.shown(target)
    if to_phone:
        shown["phone"] = target.phone
    kind = rest.pop(0)
    story.records.append(wire.status(at, kind, id=key, **shown, **where))


def _tell(story: _Story, kind: str) -> None:
    """Add what one happening sends, and change the world by it."""
    person = story.pick(story.persons)
    records = story.records
    if kind in ("rotate", "phone_move"):
        if kind == "phone_move":
            person.phone = story.pick(PHONES)
        else:
            _move(story, person)
        return
    if kind == "recycle":
        story.pick(story.persons).phone = person.phone
        return
    if kind == "rename":
        person.name, person.username = story.pick(NAMES), story.pick(USERNAMES)
        return
    if kind == "status":
        _status(story, person)
        return
    if kind == "standby_copy":
        messages = [one for one in records if _first_message(one)]
        if messages:
            again = copy.deepcopy(story.pick(messages))
            change = again["body"]["entry"][0]["changes"][0]
            value = change["value"]
            nested = {name: value.pop(name) for name in ("contacts", "messages") if name in value}
            change["field"], value["standby"] = "standby", nested
            later = wire.moment(again["received_at"]) + story.pick((SECOND, DAY))
            records.append({**again, "received_at": wire.iso(later)})
        return
    at, where = story.place()
    new_id = story.new_id()
    if kind == "message":
        key = {"identity": {"hash": story.pick(("key1", "key2"))}} if story.chance(4) else None
        records.append(wire.message(at, id=new_id, extra=key, **story.shown(person), **where))
    elif kind == "stranger":
        ids = {"bsuid": story.pick(BSUIDS), "phone": story.pick(PHONES), "name": story.pick(NAMES)}
        records.append(wire.message(at, id=new_id, **ids, **where))
    elif kind == "contact_request":
        phone = story.pick(PHONES) if story.chance(3) else person.phone
        ids = {"bsuid": person.bsuid, "name": person.name, "username": person.username}
        early = story.chance(4)
        number = {"shares": None, "written": f"+{phone}"} if story.chance(3) else {"shares": phone}
        records.append(
            wire.shared_contact(at, **number, origin_on_message=early, id=new_id, **ids, **where)
        )
    elif kind == "card":
        origin = story.pick(("other", None))
        shown = story.shown(person)
        records.append(
            wire.shared_contact(at, story.pick(PHONES), origin=origin, id=new_id, **shown, **where)
        )
    elif kind == "echo":
        records.append(wire.echo(at, id=new_id, **story.shown(person), **where))
    elif kind == "history":
        shown = story.shown(person, name=False)
        written = at - story.pick((HOUR, 100 * DAY, 400 * DAY))
        outbound = story.chance(3)
        status = story.pick(("READ", "DELIVERED", "SENT"))
        records.append(
            wire.history(written, id=new_id, outbound=outbound, status=status, **shown, **where)
        )
    elif kind == "sync":
        full_name = story.pick(("Ana", "Bob"))
        shown = story.shown(person, name=False)
        records.append(wire.state_sync(at, full_name=full_name, **shown, **where))
    elif kind == "call":
        shown = story.shown(person, name=False)
        call_id = new_id.replace("wamid", "wacid")
        event, duration = story.pick((("connect", None), ("terminate", 0), ("terminate", 31)))
        how = {"outbound": story.chance(2), "event": event, "duration": duration}
        records.append(wire.call(at, id=call_id, **how, **shown, **where))
    elif kind == "group_send":
        members = [story.shown(one) for one in story.persons[:2]]
        # nothing tells recipients of one moment apart who share an identifier
        shown = [
            value.lstrip("@").lower()
            for one in members
            for name in ("bsuid", "phone", "username")
            if (value := one[name])
        ]
        if len(set(shown)) == len(shown):
            older = {"older_names": True} if story.chance(3) else {}
            records.append(wire.group_status(at, "delivered", members, id=new_id, **older, **where))
            if story.chance(2):
                later = {**where, "received": where["received"] + DAY}
                members = members[:1]
                records.append(
                    wire.group_status(at + DAY, "read", members, id=new_id, **older, **later)
                )
    elif kind == "group_join":
        members = [story.shown(person, name=False)]
        records.append(wire.group_participants(at, members, **where))
    elif kind == "identity_changed":
        records.append(wire.identity_changed(at, phone=person.phone, id=new_id, **where))
    elif kind == "preference":
        choice = story.pick(("stop", "resume"))
        records.append(wire.user_preferences(at, choice=choice, **story.shown(person), **where))
    elif kind == "failed":
        ids = {"bsuid": person.bsuid if story.chance(4) else None, "phone": person.phone}
        error = 131049 if story.chance(4) else 131026
        records.append(wire.status(at, "failed", id=new_id, error=error, **ids, **where))
    elif kind == "malformed":
        bad = story.pick(("foo_bar", "br.1001", "BR.10-01", "BR."))
        shown = story.shown(person)
        records.append(wire.message(at, id=new_id, **{**shown, "bsuid": bad}, **where))
    elif kind == "empty_phone":
        shown = {**story.shown(person), "phone": "", "bsuid": person.bsuid}
        records.append(wire.message(at, id=new_id, **shown, **where))
    elif kind == "bsuid_as_phone":
        ids = {"bsuid": None, "phone": person.bsuid, "name": person.name}
        records.append(wire.message(at, id=new_id, **ids, **where))
    elif kind == "wrong_clock":
        stamp = story.pick(("", "soon", wire.epoch(at + 400 * DAY)))
        shown = story.shown(person)
        records.append(wire.message(at, id=new_id, timestamp=stamp, **shown, **where))
    elif kind == "user_id_update":
        other = story.pick([bsuid for bsuid in BSUIDS if bsuid != person.bsuid])
        phone = person.phone if story.chance(2) else None
        records.append(
            wire.user_id_update(at, person.bsuid, other, phone=phone, name=person.name, **where)
        )
        person.bsuid = other
    elif kind in ("fork", "join"):
        other = story.pick([bsuid for bsuid in BSUIDS if bsuid != person.bsuid])
        pair = (person.bsuid, other) if kind == "fork" else (other, person.bsuid)
        records.append(wire.rotation(at, *pair, id=new_id, **where))

    else:
        _tell_of_corners(story, kind, person, at, where, new_id)


def _tell_of_corners(
    story: _Story, kind: str, person: _Person, at: datetime, where: Json, new_id: str
) -> None:
    """Happenings at the corners of the rules."""
    records = story.records
    other = story.pick([bsuid for bsuid in BSUIDS if bsuid != person.bsuid])
    if kind == "outbound_first":
        written = story.pick(("echo", "sent", "delivered", "read", "played"))
        if written == "echo":
            records.append(wire.echo(at, id=new_id, phone=person.phone, **where))
        else:
            records.append(wire.status(at, written, id=new_id, phone=person.phone, **where))
    elif kind == "notified":
        status = story.pick(("delivered", "delivered", "sent"))
        apart = story.pick((30 * DAY, 45 * DAY, 46 * DAY))
        for place in range(2 + story.choose(6)):
            when = at + place * apart
            if when < END:
                later = {**where, "received": when + story.pick(DELAYS)}
                told = {"id": story.new_id(), "phone": person.phone}
                records.append(wire.status(when, status, **told, **later))
                story.now = max(story.now, when)
    elif kind == "same_instant":
        phones = (person.phone, person.phone if story.chance(2) else story.pick(PHONES))
        for bsuid, phone in zip((person.bsuid, story.pick(BSUIDS)), phones, strict=True):
            ids = {"bsuid": bsuid, "phone": phone, "name": story.pick(NAMES)}
            records.append(wire.message(at, id=story.new_id(), **ids, **where))
    elif kind == "other_waba":
        if records:
            again = copy.deepcopy(story.pick(records))
            place = story.pick(NUMBERS)
            entry = again["body"]["entry"][0]
            entry["id"] = place["waba"]
            metadata = entry["changes"][0]["value"]["metadata"]
            metadata["phone_number_id"] = place["number"]
            later = wire.moment(again["received_at"]) + story.pick((0 * DAY, SECOND, 90 * DAY))
            records.append({**again, "received_at": wire.iso(later)})
    elif kind == "no_id":
        told = wire.message(at, id="", **story.shown(person), **where)
        records.append(told)
        if story.chance(2):
            again = copy.deepcopy(told)
            contact = again["body"]["entry"][0]["changes"][0]["value"]["contacts"][0]
            contact["profile"] = {"name": story.pick(("Ana", "Bob", "Ana Souza"))}
            later = wire.moment(again["received_at"]) + story.pick((SECOND, DAY))
            records.append({**again, "received_at": wire.iso(later)})
    elif kind == "lent_contact":
        hidden = {"bsuid": other, "name": story.pick(NAMES), "username": story.pick(USERNAMES)}
        told = wire.status(at, "delivered", id=new_id, contact=True, **hidden, **where)
        value = told["body"]["entry"][0]["changes"][0]["value"]
        status = story.pick(("failed", "sent", "delivered"))
        beside = wire.status(at, status, id=story.new_id(), phone=person.phone, **where)
        value["statuses"] += beside["body"]["entry"][0]["changes"][0]["value"]["statuses"]
        records.append(told)
    elif kind == "written_phone":
        shown = story.shown(person)
        shape = story.pick(("+{}", "{}@s.whatsapp.net", "+{}@s.whatsapp.net", "{}@g.us"))
        shown["phone"] = shape.format(person.phone)
        records.append(wire.message(at, id=new_id, **shown, **where))
    elif kind == "hidden_history":
        person.hidden = True
        written = at - story.pick((HOUR, 100 * DAY))
        records.append(wire.history(written, id=new_id, phone=person.phone, **where))
    elif kind == "bsuid_in_change":
        if story.chance(2):
            told = wire.rotation(at, None, other, old_phone=person.bsuid, id=new_id, **where)
        else:
            told = wire.number_change(at, person.bsuid, other, v11=True, id=new_id, **where)
        records.append(told)
        person.bsuid = other
    elif kind == "tour":
        third = story.pick(BSUIDS)
        way = [(person.bsuid, other), (other, person.bsuid), (person.bsuid, third)]
        for old, new in way[story.choose(2) :]:
            if old != new:
                where = {**story.pick(NUMBERS), "received": at + story.pick(DELAYS)}
                records.append(wire.rotation(at, old, new, id=story.new_id(), **where))
            at += story.pick((0 * DAY, SECOND, 8 * DAY, 20 * DAY))
        person.bsuid = third
    elif kind == "long_wait":
        old_phone, person.phone = person.phone, story.pick(PHONES)
        if old_phone != person.phone:
            how = {"v11": story.chance(3), "id": new_id}
            records.append(wire.number_change(at, old_phone, person.phone, **how, **where))
            person.bsuid = story.pick((person.bsuid, other))
            person.name = story.pick((person.name, *NAMES))
            story.now = min(END, story.now + story.pick((89 * DAY, 90 * DAY, 91 * DAY, 120 * DAY)))
            where = {**story.pick(NUMBERS), "received": story.now + story.pick(DELAYS)}
            ids = {"bsuid": story.pick((person.bsuid, None)), "phone": person.phone}
            told = {"id": story.new_id(), "name": person.name}
            records.append(wire.message(story.now, **told, **ids, **where))
    elif kind == "body_text":
        when = story.pick(BODY_TIMES)
        where["received"] = when + story.pick(DELAYS)
        phone = person.phone if story.chance(4) else None
        told = {"old_bsuid": person.bsuid, "old_phone": phone, "id": new_id}
        records.append(wire.rotation_in_body(when, other, **told, **where))
    elif kind == "recording":
        event = story.pick(("call_recording_available", "call_transcription_available"))
        told = {"event": event, "directed": False, "id": new_id.replace("wamid", "wacid")}
        records.append(wire.call(at, phone=person.phone, **told, **where))
    elif kind == "call_status":
        shown = {name: value for name, value in story.shown(person).items() if name in CALLED}
        status = story.pick(("RINGING", "ACCEPTED", "REJECTED"))
        told = {"id": new_id.replace("wamid", "wacid"), **shown}
        records.append(wire.call_status(at, status, **told, **where))
    elif kind == "other_spelling":
        phone = OTHER_SPELLING.get(person.phone, person.phone)
        if story.chance(2):
            records.append(wire.echo(at, id=new_id, phone=phone, contact=False, **where))
        else:
            records.append(wire.status(at, "failed", id=new_id, phone=phone, **where))
    elif kind == "parent_failed":
        parent = person.parent or story.pick(PARENTS)
        slot = {"bsuid": parent} if story.chance(2) else {"parent": parent}
        records.append(wire.status(at, "failed", id=new_id, **slot, **where))


def _first_message(record: Record) -> Json | None:
    value = record["body"]["entry"][0]["changes"][0]["value"]
    items = value.get("messages") or ()
    return items[0] if items and items[0]["type"] == "text" else None


def tell(choose: Choose, min_events: int = 3, max_events: int = 25) -> Case:
    """Tell one case; ``choose(n)`` decides everything with numbers below ``n``."""
    story = _Story(choose, [])
    story.phone_era = story.pick((0, 0, 2, 4, 8))
    phones = PHONES[: 1 + choose(len(PHONES))]
    for place, bsuid in enumerate(BSUIDS[: 1 + choose(len(BSUIDS))]):
        story.persons.append(
            _Person(
                bsuid,
                story.pick((*(phones[place % len(phones)],) * 3, *phones)),
                story.pick(NAMES),
                story.pick(USERNAMES),
                story.pick((None, None, *PARENTS)),
                story.chance(2),
            )
        )
    count = min_events + choose(max_events - min_events + 1)
    tries = 0
    while len(story.records) < count and tries < 2 * count:
        tries += 1
        step = story.pick(STEPS)
        story.now = story.now + step if story.now + step < END else story.now
        _tell(story, story.pick(KINDS))
    moved_at = story.pick((None, None, None, START + 100 * DAY, START + 200 * DAY))
    return Case(tuple(story.records), moved_at)


@st.composite
def cases(draw: Callable[..., Any], min_events: int = 3, max_events: int = 25) -> Case:
    """Histories of one portfolio: 1-4 persons, 1-3 phones, 1-4 BSUIDs, two WABAs, three numbers."""
    return tell(lambda below: draw(st.integers(0, below - 1)), min_events, max_events)


def sample(count: int, seed: int = 0, min_events: int = 3, max_events: int = 25) -> list[Case]:
    """Many cases at once, the same for the same seed, to be packed into one build."""
    rng = random.Random(seed)
    return [tell(rng.randrange, min_events, max_events) for _ in range(count)]


# --- Placing ------------------------------------------------------------------------------------


def place(case: Case, index: int) -> Placed:
    """Move a case to a portfolio of its own: its WABAs, numbers and event ids are rewritten, its
    BSUIDs, phones and times stay."""
    renamed = {
        old: f"{old[0]}{index:08d}{int(old[-3:]):03d}"
        for old in (*WABAS, *(numbered["number"] for numbered in NUMBERS))
    }

    def rewritten(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: rewritten(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [rewritten(item) for item in value]
        if name in ("id", "phone_number_id") and isinstance(value, str):
            kind, dot, rest = value.partition(".")
            if kind in ("wamid", "wacid") and dot:
                return f"{kind}.case{index}.{rest}"
            return renamed.get(value, value)
        return value

    portfolio = f"case-{index}"
    first, second = (renamed[waba] for waba in WABAS)
    rows = [_account(first, portfolio)]
    if case.moved_at is None:
        rows.append(_account(second, portfolio))
    else:
        moved = _seed_time(case.moved_at)
        rows.append(_account(second, f"{portfolio}-before", valid_to=moved))
        rows.append(_account(second, portfolio, valid_from=moved))
    return Placed(portfolio, tuple(rewritten(list(case.records))), tuple(rows))


def _seed_time(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")


def _account(waba: str, portfolio: str, valid_from: str = "", valid_to: str = "") -> dict[str, str]:
    return {
        "waba_id": waba,
        "portfolio_id": portfolio,
        "business_name": portfolio,
        "default_country": "BR",
        "valid_from": valid_from,
        "valid_to": valid_to,
        "contact_book_from": "",
        "contact_book_to": "",
    }


def override_row(portfolio: str, left: tuple, right: tuple, decision: str) -> dict[str, str]:
    """The row of ``identity_overrides`` that links or cuts two nodes."""

    def end(side: str, node: tuple) -> dict[str, str]:
        at = _seed_time(node[2]) if node[0] == "phone" else ""
        return {f"{side}_type": node[0], f"{side}_value": node[1], f"{side}_at": at}

    return {
        "portfolio_id": portfolio,
        **end("left", left),
        **end("right", right),
        "decision": decision,
        "author": "tests",
        "decided_at": "2026-11-01",
        "reason": "property",
        "expires_at": "",
    }


# --- Transformations that must change nothing ---------------------------------------------------

LISTS = (
    "messages",
    "message_echoes",
    "statuses",
    "history",
    "state_sync",
    "calls",
    "user_preferences",
    "user_id_update",
    "groups",
)
OBJECT_IDS = (
    "from_user_id",
    "to_user_id",
    "recipient_user_id",
    "recipient_participant_user_id",
    "participant_recipient_user_id",
    "user_id",
)


def permute(records: Sequence[Record], rng: random.Random) -> list[Record]:
    """Another order of arrival; the receipt times stay with their records."""
    shuffled = list(records)
    rng.shuffle(shuffled)
    return shuffled


def duplicate(records: Sequence[Record], rng: random.Random) -> list[Record]:
    """Deliver some records again, later, anywhere in the file."""
    again = []
    for one in records:
        for _ in range(rng.choice((0, 0, 1, 1, 3))):
            later = wire.moment(one["received_at"]) + rng.choice((SECOND, HOUR, 7 * DAY))
            again.append({**one, "received_at": wire.iso(later)})
    return permute([*records, *again], rng)


def deliver_elsewhere(
    records: Sequence[Record], accounts: Sequence[dict[str, str]], rng: random.Random
) -> list[Record]:
    """Deliver some records again, later, under another WABA that always was of the same portfolio."""
    always = {row["waba_id"]: row["portfolio_id"] for row in accounts if not row["valid_from"]}
    for row in accounts:
        if row["valid_from"] or row["valid_to"]:
            always.pop(row["waba_id"], None)
    siblings: dict[str, list[str]] = defaultdict(list)
    for waba, portfolio in always.items():
        siblings[portfolio].append(waba)
    again = []
    for single in explode(records):
        portfolio = always.get(single["body"]["entry"][0]["id"])
        if portfolio and rng.random() < 0.3:
            other = copy.deepcopy(single)
            other["body"]["entry"][0]["id"] = rng.choice(siblings[portfolio])
            later = wire.moment(single["received_at"]) + rng.choice((SECOND, HOUR, 90 * DAY))
            again.append({**other, "received_at": wire.iso(later)})
    return permute([*records, *again], rng)


def explode(records: Sequence[Record]) -> Iterator[Record]:
    """Every update in a body of its own."""
    for one in records:
        body = one["body"]
        for entry in body["entry"]:
            for change in entry["changes"]:
                for value in _single_values(change["value"]):
                    single = {**change, "value": value}
                    yield {**one, "body": {**body, "entry": [{**entry, "changes": [single]}]}}


def _single_values(value: Json) -> Iterator[Json]:
    inner = value.get("standby")
    if inner is not None:
        for single in _single_values(inner):
            yield {**value, "standby": single}
        return
    rest = {name: item for name, item in value.items() if name not in LISTS}
    found = [(name, item) for name in LISTS for item in value.get(name, ())]
    for name, item in found:
        yield {**rest, name: [item]}
    if not found:
        yield value


def rebatch(records: Sequence[Record], rng: random.Random) -> list[Record]:
    """Deliver what was received at one moment in other bodies: together, apart or merged."""
    moments: dict[str, list[Record]] = defaultdict(list)
    for single in explode(records):
        moments[single["received_at"]].append(single)
    result = []
    for received_at, singles in moments.items():
        rng.shuffle(singles)
        while singles:
            size = rng.choice((1, 2, 3, len(singles)))
            batch, singles = singles[:size], singles[size:]
            result.append({"received_at": received_at, "body": _one_body(batch, rng)})
    return permute(result, rng)


def _one_body(batch: Sequence[Record], rng: random.Random) -> Json:
    entries: list[Json] = []
    for one in batch:
        entry = one["body"]["entry"][0]
        same = [known for known in entries if known["id"] == entry["id"]]
        if same and rng.random() < 0.7:
            _add_change(same[0]["changes"], entry["changes"][0], rng)
        else:
            entries.append(copy.deepcopy(entry))
    return {"object": "whatsapp_business_account", "entry": entries}


def _add_change(changes: list[Json], change: Json, rng: random.Random) -> None:
    for known in changes:
        alike = known["field"] == change["field"] and "standby" not in change["value"]
        if alike and rng.random() < 0.8 and (merged := _merged(known["value"], change["value"])):
            known["value"] = merged
            return
    changes.append(copy.deepcopy(change))


def _merged(left: Json, right: Json) -> Json | None:
    """Two values as one, when every object still finds its own contact; else nothing."""
    if left.get("metadata") != right.get("metadata"):
        return None
    contacts: list[Json] = []
    for contact in (*left.get("contacts", ()), *right.get("contacts", ())):
        if contact not in contacts:
            contacts.append(contact)
    if contacts:
        ids = [contact.get("user_id") for contact in contacts]
        if None in ids or len(set(ids)) < len(ids):
            return None
        for side in (left, right):
            own = {contact["user_id"] for contact in side.get("contacts", ())}
            for item in (item for name in LISTS for item in side.get(name, ())):
                if not any(item.get(name) in own for name in OBJECT_IDS if name in item):
                    return None
    merged = {**copy.deepcopy(left), **({"contacts": contacts} if contacts else {})}
    for name in LISTS:
        if name in right:
            merged[name] = [*merged.get(name, ()), *copy.deepcopy(right[name])]
    return merged


def split_runs(records: Sequence[Record], rng: random.Random, runs: int = 3) -> list[list[Record]]:
    """Deal records out over several incremental runs, in any order; a run may be empty."""
    dealt: list[list[Record]] = [[] for _ in range(runs)]
    for one in permute(records, rng):
        rng.choice(dealt).append(one)
    return dealt


def strip_evidence(records: Sequence[Record], rng: random.Random) -> list[Record]:
    """Take out all evidence of tier 1 and 2: no object shows a phone with a BSUID, no changes, no
    attested numbers."""
    bare = []
    for single in explode(records):
        single = copy.deepcopy(single)
        value = single["body"]["entry"][0]["changes"][0]["value"]
        inner = value.get("standby", value)
        if "user_id_update" in inner:
            continue
        if any(item.get("type") == "system" for item in inner.get("messages", ())):
            continue
        drop_phone = rng.random() < 0.5
        _strip(inner, drop_phone)
        bare.append(single)
    return bare


PHONE_SLOTS = (
    "from",
    "to",
    "wa_id",
    "recipient_id",
    "recipient_participant_id",
    "participant_recipient_id",
    "phone_number",
)
BSUID_SLOTS = (
    *OBJECT_IDS,
    "from_parent_user_id",
    "to_parent_user_id",
    "recipient_parent_user_id",
    "recipient_participant_parent_user_id",
    "participant_recipient_parent_user_id",
    "parent_user_id",
)


def _strip(value: Any, drop_phone: bool) -> None:
    if isinstance(value, list):
        for item in value:
            _strip(item, drop_phone)
    elif isinstance(value, dict):
        for name in PHONE_SLOTS if drop_phone else BSUID_SLOTS:
            value.pop(name, None)
        if drop_phone and "messages" in value:
            value.pop("id", None)
        if value.get("origin") == "contact_request":
            value["origin"] = "other"
        for item in value.values():
            _strip(item, drop_phone)
