"""Events: reading and deduplication (sections 1 and 2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .identifiers import is_blank
from .model import Json, Record
from .times import occurred, utc

PARTICIPANT_BSUIDS = ("recipient_participant_user_id", "participant_recipient_user_id")
PARTICIPANT_PHONES = ("recipient_participant_id", "participant_recipient_id")


@dataclass(frozen=True)
class Event:
    """One update of a webhook: a message, a status, a call, a synced contact and so on.

    ``key`` is what makes it the same event within its portfolio, whichever WABA delivered it.
    """

    kind: str
    key: tuple[str, ...]
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
    def event_id(self) -> str:
        """The event's own id; one without is called by the hash of what makes it the same event."""
        return (
            str(self.item.get("id") or "") or hashlib.md5("|".join(self.key).encode()).hexdigest()
        )

    @property
    def participant(self) -> str:
        return participant(self.item) if self.kind == "status" else ""


def compact(value: Any) -> str:
    """JSON text without blanks, in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def first_filled(item: Json, *names: str) -> str:
    """The first of some fields that is not blank, else an empty string."""
    return next((str(item[name]) for name in names if not is_blank(item.get(name))), "")


def participant(status: Json) -> str:
    """The person a group status speaks of; empty for a send to one person."""
    return first_filled(status, *PARTICIPANT_BSUIDS, *PARTICIPANT_PHONES)


def updates(change_field: str, value: Json) -> Iterator[tuple[str, Json, Json]]:
    """The (kind, object, thread context) triples of one change value."""
    inner = {**value, **value["standby"]} if isinstance(value.get("standby"), dict) else value
    synced = change_field == "history"
    for item in inner.get("messages") or ():
        yield "history" if synced else "message", item, {}
    for item in inner.get("message_echoes") or ():
        yield "history" if synced else "echo", item, {"echo": True}
    for item in inner.get("statuses") or ():
        yield "call_status" if item.get("type") == "call" else "status", item, {}
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


def event_key(kind: str, item: Json, number: str) -> tuple[str, ...]:
    """What makes an update the same within its portfolio: its id, else its content, which is that
    of the item alone: what a contact beside it shows may differ from copy to copy."""
    family = "message" if kind in ("message", "echo", "history") else kind
    if is_blank(item.get("id")) or family not in ("message", "status", "call", "call_status"):
        return (family, number, compact(item))
    if family in ("status", "call_status"):
        return (family, str(item["id"]), str(item.get("status")), participant(item))
    if family == "call":
        return (family, str(item["id"]), str(item.get("event")))
    return (family, str(item["id"]))


def stamp(item: Json) -> Any:
    """An update's own time as it is written."""
    return item.get("timestamp", (item.get("metadata") or {}).get("timestamp"))


def receipt(record: Record, body: Json) -> datetime:
    """When a record was received; without a receipt time the newest moment in its body stands in."""
    if record.get("received_at"):
        return utc(record["received_at"])
    inside = [
        datetime.fromtimestamp(int(stamp(item)), UTC)
        for entry in body["entry"]
        for change in entry["changes"]
        for kind, item, _ in updates(change["field"], change["value"])
        if kind != "history" and str(stamp(item)).isdigit()
    ]
    return max(inside)


def read_events(records: Iterable[Record]) -> list[Event]:
    """Every update of every record, copies included; a record is an envelope or the body alone."""
    events = []
    for record in records:
        body = record.get("body", record)
        body = json.loads(body) if isinstance(body, str) else body
        received_at = receipt(record, body)
        for entry in body["entry"]:
            for change in entry["changes"]:
                value = change["value"]
                metadata = value.get("metadata") or {}
                number = str(metadata.get("phone_number_id") or "")
                inner = value.get("standby") if isinstance(value.get("standby"), dict) else {}
                contacts = tuple((inner or {}).get("contacts") or value.get("contacts") or ())
                found = list(updates(change["field"], value))
                for kind, item, context in found:
                    content = compact([item, contacts, context])
                    events.append(
                        Event(
                            kind,
                            event_key(kind, item, number),
                            str(entry["id"]),
                            re.sub(r"\D", "", str(metadata.get("display_phone_number") or "")),
                            received_at,
                            occurred(stamp(item), received_at),
                            item,
                            contacts,
                            len(found) == 1,
                            context,
                            hashlib.md5(content.encode()).hexdigest(),
                        )
                    )
    return events


def deduplicate(events: Iterable[Event], key: Callable[[Event], Any]) -> list[Event]:
    """Of copies keep the one received first; of those received together the smallest content hash,
    then the smallest WABA."""
    kept: dict[Any, Event] = {}
    for event in sorted(events, key=lambda e: (e.received_at, e.content_hash, e.waba_id)):
        kept.setdefault(key(event), event)
    return list(kept.values())


def by_portfolio(
    events: Iterable[Event], accounts: Sequence[Mapping[str, Any]]
) -> dict[str, list[Event]]:
    """The events of each portfolio, without copies.

    Copies under one WABA collapse first, so that what is delivered again, however late, does not
    become another event when the WABA has moved meanwhile.
    """
    events = deduplicate(events, lambda e: (e.waba_id, e.key))
    homes: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        homes[portfolio_of(event.waba_id, event.evidence_at, accounts)].append(event)
    return {home: deduplicate(mine, lambda e: e.key) for home, mine in homes.items()}


def first_statuses(events: Iterable[Event]) -> dict[tuple[str, str], datetime]:
    """When each message was first said to have gone to a participant, failures included.

    What a status shows of a phone is dated there: a late `read` must not look like new life on it.
    """
    first: dict[tuple[str, str], datetime] = {}
    for event in sorted(events, key=lambda e: e.evidence_at):
        if event.kind == "status":
            first.setdefault((event.event_id, event.participant), event.evidence_at)
    return first


def portfolio_of(waba: str, at: datetime, accounts: Sequence[Mapping[str, Any]]) -> str:
    """The portfolio a WABA belonged to; an unmapped one is its own."""
    for row in accounts:
        if row["waba_id"] == waba:
            begin, end = row.get("valid_from"), row.get("valid_to")
            if (not begin or utc(begin) <= at) and (not end or at < utc(end)):
                return row["portfolio_id"]
    return f"waba:{waba}"
