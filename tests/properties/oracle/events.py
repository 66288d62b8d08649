"""Events: reading and deduplication (sections 1 and 2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .model import Json, Record
from .times import occurred, utc


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
