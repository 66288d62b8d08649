"""Observations: every place of a payload that shows an identifier (section 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import phonenumbers

from .events import PARTICIPANT_BSUIDS, PARTICIPANT_PHONES, Event, first_filled
from .identifiers import Person, contact_person, handle, is_blank, person
from .model import Json, Observation

STATUS_PARENTS = ("recipient_parent_user_id", "parent_recipient_user_id", "parent_user_id")
PARTICIPANT_PARENTS = (
    "recipient_participant_parent_user_id",
    "participant_recipient_parent_user_id",
)
REACHED = ("delivered", "read", "played")


def joined_contact(who: Person, event: Event) -> Json | None:
    """The contact of an object: by id, else by phone, else the only one; never against its id.

    The only contact may name somebody only where the object is the only one too, and then may show
    another phone (another spelling); without a phone it is never that of who shows a phone only.
    """
    contacts = event.contacts
    for contact in contacts:
        if who.bsuid and contact_person(contact).bsuid == who.bsuid:
            return contact
    rest = [c for c in contacts if not (who.bsuid and contact_person(c).bsuid)]
    for contact in rest:
        if who.phone and contact_person(contact).phone == who.phone:
            return contact
    if len(contacts) > 1 or not rest:
        return None
    named = contact_person(rest[0])
    if who.phone and not who.bsuid and named.bsuid and not named.phone:
        return None
    names_somebody = named.bsuid or named.phone or named.parent
    return rest[0] if event.is_alone or not names_somebody else None


def people(event: Event, own: Collection[str]) -> Iterator[tuple[str, Person, str, Json]]:
    """The persons of an event as (path, person, direction, extras)."""
    item, context = event.item, event.context
    sender = person(item.get("from_user_id"), item.get("from"), item.get("from_parent_user_id"))
    receiver = person(item.get("to_user_id"), item.get("to"), item.get("to_parent_user_id"))
    if event.kind == "message":
        if item.get("type") != "system":
            yield "sender", sender, "inbound", {}
        elif is_new_key(item):
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
        yield "thread", merged, direction, {"username": context.get("username")}
    elif event.kind == "status":
        if item.get("recipient_type") == "group":
            slots = (PARTICIPANT_BSUIDS, PARTICIPANT_PHONES, PARTICIPANT_PARENTS)
        else:
            slots = (("recipient_user_id",), ("recipient_id",), STATUS_PARENTS)
        yield "recipient", person(*(first_filled(item, *names) for names in slots)), "outbound", {}
    elif event.kind == "call_status":
        ids = (item.get("recipient_user_id"), item.get("recipient_id"))
        yield "callee", person(*ids, first_filled(item, *STATUS_PARENTS)), "outbound", {}
    elif event.kind == "call":
        if is_call_of_a_person(item, sender, own):
            yield "caller", sender, "inbound", {}
        else:
            yield "callee", receiver, "outbound", {}
    elif event.kind == "preference":
        who = person(item.get("user_id"), item.get("wa_id"), item.get("parent_user_id"))
        yield "person", who, "inbound", {}
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


def is_new_key(item: Json) -> bool:
    """Whether a message is the system's word of a new identity key."""
    kinds = ("customer_identity_changed", "user_identity_changed")
    return item.get("type") == "system" and (item.get("system") or {}).get("type") in kinds


def key_hash(event: Event, contact: Json | None) -> str | None:
    """The hash of a person's identity key that a message shows, or its contact."""
    if event.kind != "message":
        return None
    identity = event.item.get("identity") or {}
    system = event.item.get("system") or {}
    found = (identity.get("hash"), (contact or {}).get("identity_key_hash"), system.get("identity"))
    return next((value for value in found if not is_blank(value)), None)


def is_call_of_a_person(item: Json, sender: Person, own: Collection[str]) -> bool:
    """Whether the person called: by the direction, else by who the call is from."""
    if not is_blank(item.get("from_user_id")) or item.get("direction") == "USER_INITIATED":
        return True
    is_person = sender.bsuid is not None or (sender.phone is not None and sender.phone not in own)
    return is_blank(item.get("direction")) and is_person


def undeliverable(status: Json) -> bool:
    """Whether nobody on WhatsApp could be reached: a failed status with error 131026."""
    errors = status.get("errors") or [{}]
    return status.get("status") == "failed" and errors[0].get("code") == 131026


def reach(event: Event, direction: str) -> str | None:
    """How far a contact went: the person acted, was reached, or was only sent something."""
    if direction == "inbound":
        return "inbound"
    if direction != "outbound" or event.item.get("status") == "failed":
        return None
    if event.kind == "status":
        status = event.item.get("status")
        return "reached" if status in REACHED else "sent" if status == "sent" else None
    if event.kind == "history":
        status = (event.item.get("history_context") or {}).get("status")
        return "reached" if str(status).lower() in REACHED else "sent"
    return "reached" if was_answered(event) else "sent"


def was_answered(event: Event) -> bool:
    """Whether the business called and somebody answered."""
    if event.kind == "call_status":
        return str(event.item.get("status")).upper() == "ACCEPTED"
    lasted = str(event.item.get("duration") or "0")
    return event.kind == "call" and lasted.isdigit() and int(lasted) > 0


def own_message_id(event: Event) -> str | None:
    """The id of the message that an event is, or tells of; system messages and calls are none."""
    is_message = event.kind in ("message", "echo", "history", "status")
    if not is_message or event.item.get("type") == "system":
        return None
    return first_filled(event.item, "id") or None


def card_phone(entry: Json) -> str | None:
    """The phone of a card: its ``wa_id``, else ``phone`` where that is a whole number with a plus."""
    if not is_blank(entry.get("wa_id")):
        return person(phone=entry["wa_id"]).phone
    try:
        number = phonenumbers.parse(str(entry.get("phone") or ""), None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164.removeprefix("+")


def attested_phones(event: Event) -> list[str]:
    """The phones of a ``contact_request``; any other card is declared data and never identity."""
    item = event.item
    if event.kind != "message" or item.get("type") != "contacts":
        return []
    phones = []
    for card in item.get("contacts") or ():
        if (card.get("origin") or item.get("origin")) == "contact_request":
            phones += [card_phone(entry) for entry in card.get("phones") or ()]
    return [phone for phone in phones if phone]


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
                event_id=event.event_id,
                waba_id=event.waba_id,
                path=path,
                received_at=event.received_at,
                occurred_at=event.occurred_at,
                evidence_at=event.evidence_at,
                paired_at=first_status[event.event_id, event.participant]
                if is_status
                else event.evidence_at,
                bsuid=keep.bsuid,
                phone=keep.phone,
                parent=keep.parent,
                username=handle(extra.get("username") or profile.get("username")),
                name=profile.get("name")
                if event.kind != "sync" and path != "identity_changed"
                else None,
                direction=direction,
                reach=reach(event, direction),
                is_status=is_status,
                is_echo=event.kind == "echo",
                is_failed=is_status and event.item.get("status") == "failed",
                is_undeliverable=is_status and undeliverable(event.item),
                is_sync=event.kind == "sync",
                is_live=not event.synced,
                is_message_contact=event.kind == "message" and contact is not None,
                identity_key_hash=key_hash(event, contact),
                message_id=own_message_id(event),
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
                            identity_key_hash=None,
                            message_id=None,
                        )
                    )
    return found, malformed
