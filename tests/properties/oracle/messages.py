"""Whose each message is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from .events import Event
from .model import Observation


def attribute_messages(
    events: Iterable[Event],
    observations: Iterable[Observation],
    customer_seen: Callable[[Observation], str],
) -> dict[str, str]:
    """Every message's customer: by the first observation with a BSUID, else the first one."""
    group_sends, own_message = set(), set()
    for event in events:
        if event.kind == "status" and event.item.get("recipient_type") == "group":
            group_sends.add(event.event_id)
        elif event.kind in ("message", "echo", "history"):
            own_message.add(event.event_id)
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
