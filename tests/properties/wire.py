"""Builders of webhook records in Meta's exact wire format, for tests that read like a story.

Every builder returns one landing record, ``{"received_at": iso, "body": {...}}``, of one update.
``at`` is the event's own time, ``received`` the receipt time (two seconds later unless given).
Without ``id`` an id is derived from the content, so the same call twice is the same event twice; a
message with an empty ``id`` has none.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Record = dict[str, Any]
Moment = datetime | str | int

WABA = "200000000000001"
NUMBER = "300000000000001"
DISPLAY = "15550001111"


def moment(value: Moment) -> datetime:
    """Read a datetime, an ISO 8601 string (UTC when it names no zone) or epoch seconds."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def iso(value: Moment) -> str:
    """Write a moment as the receipt time of a record."""
    return moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def epoch(value: Moment) -> str:
    """Write a moment as Meta does in messages and statuses: epoch seconds in a string."""
    return str(int(moment(value).timestamp()))


def _filled(**fields: Any) -> Json:
    """Keep the fields that are given; an absent property is omitted, an empty string is kept."""
    return {name: value for name, value in fields.items() if value is not None}


def _id(prefix: str, *content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return f"{prefix}.{hashlib.md5(text.encode()).hexdigest()[:16].upper()}"


def _contact(
    bsuid: str | None,
    phone: str | None,
    name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
) -> Json:
    profile = _filled(name=name, username=username)
    return _filled(profile=profile or None, wa_id=phone, user_id=bsuid, parent_user_id=parent)


def record(
    field: str,
    value: Json,
    at: Moment,
    *,
    received: Moment | None = None,
    waba: str = WABA,
    number: str = NUMBER,
    display: str = DISPLAY,
) -> Record:
    """Wrap one change value in its envelope; any field of Meta's can be built with it."""
    when = moment(at) + timedelta(seconds=2) if received is None else moment(received)
    full: Json = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": display, "phone_number_id": number},
        **value,
    }
    body = {
        "object": "whatsapp_business_account",
        "entry": [{"id": waba, "changes": [{"field": field, "value": full}]}],
    }
    return {"received_at": iso(when), "body": body}


def message(
    at: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    text: str = "oi",
    id: str | None = None,
    group: str | None = None,
    contact: bool = True,
    timestamp: str | None = None,
    field: str = "messages",
    extra: Mapping[str, Any] | None = None,
    **where: Any,
) -> Record:
    """Build an inbound message. ``field="standby"`` nests it one level deeper, as a standby copy;
    ``field="history"`` is the media shape of a history sync. ``timestamp`` overrides the event's
    own time verbatim, ``extra`` replaces or adds fields of the message object."""
    item = _filled(
        **{"from": phone},
        from_user_id=bsuid,
        from_parent_user_id=parent,
        group_id=group,
        id=_id("wamid", "message", at, bsuid, phone, text) if id is None else id or None,
        timestamp=epoch(at) if timestamp is None else timestamp,
        type="text",
        text={"body": text},
    )
    item.update(extra or {})
    value: Json = {"messages": [item]}
    if contact:
        value = {"contacts": [_contact(bsuid, phone, name, username, parent)], **value}
    if field == "standby":
        value = {"standby": value}
    return record(field, value, at, **where)


def shared_contact(
    at: Moment,
    shares: str | None,
    *,
    written: str | None = None,
    origin: str | None = "contact_request",
    origin_on_message: bool = False,
    bsuid: str | None = None,
    phone: str | None = None,
    id: str | None = None,
    **rest: Any,
) -> Record:
    """Build a ``contacts`` message with the number ``shares``, a ``wa_id``, or with one that is only
    ``written`` as its sender does.

    ``origin="contact_request"`` is the sender's own number, attested; ``"other"`` a card passed on
    by hand. Until May 2026 the origin was on the message: ``origin_on_message``.
    """
    phones = _filled(phone=written or f"+{shares}", wa_id=shares, type="CELL")
    card: Json = {"phones": [phones]}
    if origin == "other":
        card["name"] = {"formatted_name": "Somebody"}
    if origin and not origin_on_message:
        card["origin"] = origin
    extra: Json = {"type": "contacts", "contacts": [card]}
    if origin and origin_on_message:
        extra["origin"] = origin
    made = id or _id("wamid", "contacts", at, bsuid, phone, shares, written, origin)
    built = message(at, bsuid=bsuid, phone=phone, id=made, extra=extra, **rest)
    value = built["body"]["entry"][0]["changes"][0]["value"]
    value.get("standby", value)["messages"][0].pop("text")
    return built


def status(
    at: Moment,
    status: str = "delivered",
    *,
    id: str | None = None,
    bsuid: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    contact: bool | None = None,
    parent_field: str = "recipient_parent_user_id",
    timestamp: str | None = None,
    field: str = "messages",
    error: int = 131026,
    **where: Any,
) -> Record:
    """Build a status of one message to one person; a ``failed`` one carries no contacts and an error."""
    item = _filled(
        id=id or _id("wamid", "sent", bsuid, phone),
        status=status,
        timestamp=epoch(at) if timestamp is None else timestamp,
        recipient_id=phone,
        recipient_user_id=bsuid,
    )
    if parent is not None:
        item[parent_field] = parent
    if status == "failed":
        item["errors"] = [{"code": error, "title": "Undeliverable"}]
    value: Json = {"statuses": [item]}
    if contact if contact is not None else (status != "failed" and bsuid is not None):
        value = {"contacts": [_contact(bsuid, phone, name, username, parent)], **value}
    if field == "standby":
        value = {"standby": value}
    return record(field, value, at, **where)


def group_status(
    at: Moment,
    status: str,
    participants: Sequence[Mapping[str, str | None]],
    *,
    id: str,
    group: str = "G-1",
    older_names: bool = False,
    **where: Any,
) -> Record:
    """Build the aggregated statuses of one group send; a participant has ``bsuid``, ``phone``,
    ``name``, ``username`` and ``parent``, all optional. ``older_names``: as until the end of 2025,
    without contacts."""
    contacts, statuses = [], []
    slot = "participant_recipient" if older_names else "recipient_participant"
    for person in participants:
        contacts.append(_contact(**{"bsuid": None, "phone": None, **person}))
        statuses.append(
            _filled(
                id=id,
                status=status,
                timestamp=epoch(at),
                recipient_id=group,
                recipient_type="group",
                **{
                    f"{slot}_id": person.get("phone"),
                    f"{slot}_user_id": person.get("bsuid"),
                    f"{slot}_parent_user_id": person.get("parent"),
                },
            )
        )
    value = {"statuses": statuses} if older_names else {"contacts": contacts, "statuses": statuses}
    return record("messages", value, at, **where)


def _system(
    at: Moment, system: Json, old_phone: str | None, id: str | None, **where: Any
) -> Record:
    item = _filled(
        **{"from": old_phone},
        id=id or _id("wamid", "system", at, old_phone, system, where.get("number")),
        timestamp=epoch(at),
        type="system",
        system=system,
    )
    return record("messages", {"messages": [item]}, at, **where)


def number_change(
    at: Moment,
    old_phone: str,
    new_phone: str,
    *,
    name: str = "Ana",
    v11: bool = False,
    id: str | None = None,
    **where: Any,
) -> Record:
    """Build the first generation: a number change that knows phones only. ``v11`` is the oldest
    shape, with ``customer`` and ``new_wa_id``."""
    body = f"User {name} changed from {old_phone} to {new_phone}"
    if v11:
        system = {
            "type": "customer_changed_number",
            "body": body,
            "customer": old_phone,
            "new_wa_id": new_phone,
        }
        return _system(at, system, None, id, **where)
    system = {"type": "user_changed_number", "body": body, "wa_id": new_phone}
    return _system(at, system, old_phone, id, **where)


def rotation_in_body(
    at: Moment,
    new_bsuid: str,
    *,
    old_bsuid: str | None = None,
    old_phone: str | None = None,
    new_phone: str | None = None,
    new_parent: str | None = None,
    name: str = "Ana",
    body: str | None = None,
    id: str | None = None,
    **where: Any,
) -> Record:
    """Build the second generation (May to August 2026): the new BSUID is typed, the old one stands
    in the free text only."""
    text = body if body is not None else f"User {name} changed from {old_bsuid} to {new_bsuid}"
    system = _filled(
        type="user_changed_user_id",
        body=text,
        wa_id=new_phone,
        user_id=new_bsuid,
        parent_user_id=new_parent,
    )
    return _system(at, system, old_phone, id, **where)


def rotation(
    at: Moment,
    old_bsuid: str | None,
    new_bsuid: str | None,
    *,
    old_phone: str | None = None,
    new_phone: str | None = None,
    old_parent: str | None = None,
    new_parent: str | None = None,
    name: str = "Ana",
    id: str | None = None,
    **where: Any,
) -> Record:
    """Build the third generation (since August 11 2026): both BSUIDs typed. With a new phone it is
    a ``user_changed_number``, without one a ``user_changed_user_id``."""
    kind = "user_changed_number" if new_phone else "user_changed_user_id"
    sides = (old_phone, new_phone) if new_phone else (old_bsuid, new_bsuid)
    system = _filled(
        type=kind,
        body=f"User {name} changed from {sides[0]} to {sides[1]}",
        wa_id=new_phone,
        previous_user_id=old_bsuid,
        user_id=new_bsuid,
        previous_parent_user_id=old_parent,
        parent_user_id=new_parent,
    )
    return _system(at, system, old_phone, id, **where)


def user_id_update(
    at: Moment,
    old_bsuid: str,
    new_bsuid: str,
    *,
    phone: str | None = None,
    name: str | None = None,
    old_parent: str | None = None,
    new_parent: str | None = None,
    **where: Any,
) -> Record:
    """Build the withdrawn ``user_id_update``, whose ``user_id`` is an object."""
    item = _filled(
        wa_id=phone,
        detail="User id updated",
        user_id={"previous": old_bsuid, "current": new_bsuid},
        timestamp=epoch(at),
    )
    if old_parent or new_parent:
        item["parent_user_id"] = _filled(previous=old_parent, current=new_parent)
    value = {"contacts": [_contact(None, phone, name)], "user_id_update": [item]}
    return record("user_id_update", value, at, **where)


def identity_changed(
    at: Moment,
    *,
    phone: str | None = None,
    bsuid: str | None = None,
    id: str | None = None,
    **where: Any,
) -> Record:
    """Build ``customer_identity_changed``: a new identity key on the same ids."""
    item = _filled(
        **{"from": phone},
        from_user_id=bsuid,
        id=id or _id("wamid", "identity", at, phone, bsuid),
        timestamp=epoch(at),
        type="system",
        system={"type": "customer_identity_changed", "body": "The identity key changed"},
        identity={"acknowledged": True, "created_timestamp": epoch(at), "hash": "h"},
    )
    return record("messages", {"messages": [item]}, at, **where)


def echo(
    at: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    id: str | None = None,
    contact: bool = True,
    field: str = "smb_message_echoes",
    display: str = DISPLAY,
    **where: Any,
) -> Record:
    """Build what the business wrote in its own app; ``field="standby"`` nests it."""
    item = _filled(
        **{"from": display},
        to=phone,
        to_user_id=bsuid,
        to_parent_user_id=parent,
        id=id or _id("wamid", "echo", at, bsuid, phone),
        timestamp=epoch(at),
        type="text",
        text={"body": "ok"},
    )
    value: Json = {"message_echoes": [item]}
    if contact:
        value = {"contacts": [_contact(bsuid, phone, name, username, parent)], **value}
    if field == "standby":
        value = {"standby": value}
    return record(field, value, at, display=display, **where)


def history(
    at: Moment,
    received: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    outbound: bool = False,
    status: str = "READ",
    id: str | None = None,
    display: str = DISPLAY,
    **where: Any,
) -> Record:
    """Build one message of a synced thread: written at ``at``, ids as of ``received``."""
    item = _filled(
        **{"from": display if outbound else phone},
        from_user_id=None if outbound else bsuid,
        from_parent_user_id=None if outbound else parent,
        to=phone if outbound else None,
        id=id or _id("wamid", "history", at, bsuid, phone),
        timestamp=epoch(at),
        type="text",
        text={"body": "antigo"},
        history_context={"status": status},
    )
    context = _filled(wa_id=phone, user_id=bsuid, parent_user_id=parent, username=username)
    thread = _filled(id=phone, context=context, messages=[item])
    chunk = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 55}, "threads": [thread]}
    return record("history", {"history": [chunk]}, at, received=received, display=display, **where)


def state_sync(
    at: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    full_name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    action: str = "add",
    **where: Any,
) -> Record:
    """Build one synced address-book contact; the name is the business's own for the person."""
    contact = _filled(
        full_name=full_name,
        phone_number=phone,
        user_id=bsuid,
        parent_user_id=parent,
        username=username,
    )
    item = {
        "type": "contact",
        "contact": contact,
        "action": action,
        "metadata": {"timestamp": epoch(at)},
    }
    return record("smb_app_state_sync", {"state_sync": [item]}, at, **where)


def call(
    at: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    outbound: bool = False,
    event: str = "connect",
    duration: int | None = None,
    directed: bool = True,
    id: str | None = None,
    display: str = DISPLAY,
    **where: Any,
) -> Record:
    """Build a call, by the user or (``outbound``) by the business. The news that a recording or
    a transcript is ready names neither direction nor contact (not ``directed``)."""
    item = _filled(id=id or _id("wacid", at, bsuid, phone, outbound))
    if outbound:
        item |= _filled(**{"from": display}, to=phone, to_user_id=bsuid, to_parent_user_id=parent)
    else:
        item |= _filled(
            **{"from": phone}, from_user_id=bsuid, from_parent_user_id=parent, to=display
        )
    item |= _filled(event=event, timestamp=epoch(at), duration=duration)
    value: Json = {"calls": [item]}
    if directed:
        item["direction"] = "BUSINESS_INITIATED" if outbound else "USER_INITIATED"
        value = {"contacts": [_contact(bsuid, phone, None, username, parent)], **value}
    return record("calls", value, at, display=display, **where)


def call_status(
    at: Moment,
    status: str,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    parent: str | None = None,
    id: str | None = None,
    **where: Any,
) -> Record:
    """Build what became of a call by the business: ``RINGING``, ``ACCEPTED`` or ``REJECTED``."""
    item = _filled(
        id=id or _id("wacid", at, bsuid, phone),
        type="call",
        status=status,
        timestamp=epoch(at),
        recipient_id=phone,
        recipient_user_id=bsuid,
        recipient_parent_user_id=parent,
    )
    value = {"contacts": [_contact(bsuid, phone)], "statuses": [item]}
    return record("calls", value, at, **where)


def group_participants(
    at: Moment,
    participants: Sequence[Mapping[str, str | None]],
    *,
    group: str = "G-1",
    **where: Any,
) -> Record:
    """Build a ``group_participants_add``; a participant has ``bsuid``, ``phone``, ``username``."""
    added = [
        _filled(
            wa_id=person.get("phone"),
            user_id=person.get("bsuid"),
            parent_user_id=person.get("parent"),
            username=person.get("username"),
        )
        for person in participants
    ]
    item = {
        "timestamp": epoch(at),
        "group_id": group,
        "type": "group_participants_add",
        "reason": "invite_link",
        "added_participants": added,
    }
    return record("group_participants_update", {"groups": [item]}, at, **where)


def user_preferences(
    at: Moment,
    *,
    bsuid: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    username: str | None = None,
    parent: str | None = None,
    choice: str = "stop",
    **where: Any,
) -> Record:
    """Build a marketing preference of the user."""
    item = _filled(
        wa_id=phone,
        user_id=bsuid,
        parent_user_id=parent,
        detail=choice,
        category="marketing_messages",
        value=choice,
        timestamp=int(epoch(at)),
    )
    value = {
        "contacts": [_contact(bsuid, phone, name, username, parent)],
        "user_preferences": [item],
    }
    return record("user_preferences", value, at, **where)


def owner_of_waba(at: Moment, waba: str, owner: str, **where: Any) -> Record:
    """Build the partner ``account_update`` that names a WABA's owner; its entry id is no WABA."""
    info = {"waba_id": waba, "owner_business_id": owner}
    built = record("account_update", {}, at, waba="700000000000001", **where)
    change = built["body"]["entry"][0]["changes"][0]
    change["value"] = {"event": "PARTNER_ADDED", "waba_info": info}
    return built


def write_landing(path: Path | str, records: Iterable[Record]) -> Path:
    """Write records as a landing file, one per line, gzipped when the name ends in ``.gz``."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(
        json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n" for item in records
    )
    data = lines.encode()
    target.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)
    return target
