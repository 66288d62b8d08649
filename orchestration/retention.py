"""RETENTION_DAYS: what people wrote is taken out of landing files and raw when it is older; who they are stays.

No model reads the content of a message, so that everything is worked out anew from what is left with the same result. The
rest of a webhook cannot go by age: identifiers that were seen years ago decide who somebody is today, and a rebuild, such as
after an upgrade, has nothing else to go by.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from orchestration import work
from orchestration.forget import (
    held_in_raw,
    put_in_place,
    remove_leftovers,
    renew_warehouse,
    rewrite_landing,
)
from orchestration.landing.forgotten import EMPTY_BODY, Cut, decode, microseconds
from orchestration.lock import locked
from orchestration.settings import Settings, UserError

# What a message says or carries, by the name of its type. Cards, system messages and references are evidence.
CONTENT = frozenset(
    [
        "audio",
        "button",
        "document",
        "image",
        "interactive",
        "location",
        "order",
        "poll",
        "reaction",
        "sticker",
        "text",
        "video",
        "voice",
    ]
)
LISTS = frozenset(["message_echoes", "messages"])


class OldContent:
    """Finds the content of messages that were received before a moment (microseconds since 1970 UTC)."""

    def __init__(self, before: int) -> None:
        self.before = before

    def mentions(self, text: bytes) -> bool:
        """What is no readable webhook has no content that could be told from the rest."""
        return False

    def without(self, body: bytes, received_at: int) -> tuple[bytes, list[Cut]]:
        """A webhook body without the content of its messages, and what was taken out."""
        if received_at >= self.before:
            return body, []
        cuts: list[Cut] = []
        try:
            node = decode(body)
            self._walk(node, "$", False, cuts)
        except RecursionError:  # no webhook is nested like that
            return EMPTY_BODY, [Cut("$", None)]
        return (msgspec.json.encode(node), cuts) if cuts else (body, [])

    def _walk(self, node: Any, at: str, is_message: bool, cuts: list[Cut]) -> None:
        if isinstance(node, list):
            for index, inner in enumerate(node):
                self._walk(inner, f"{at}[{index}]", is_message, cuts)
        elif isinstance(node, dict):
            # an edit holds the message anew
            for name in [name for name in node if is_message and name in CONTENT]:
                cuts.append(Cut(f"{at}.{name}", node.pop(name)))
            for name, inner in node.items():
                within = name in LISTS or (is_message and name in ("edit", "message"))
                self._walk(inner, f"{at}.{name}", within, cuts)


def retain(settings: Settings, say: Callable[[str], None]) -> bool:
    """Take old content out; whether there was any. The next run rebuilds. Raises UserError."""
    if settings.retention_days is None:
        raise UserError(
            "RETENTION_DAYS is not set: say after how many days what people wrote is to go."
        )
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=settings.retention_days)
    old = OldContent(microseconds(before))
    with locked(settings, say):
        remove_leftovers(settings)
        found = rewrite_landing(settings, old, write=True)
        held = held_in_raw(settings, old)
        if not (found.files or held):
            say(f"Nothing that people wrote is older than {settings.retention_days} days.")
            return False
        renew_warehouse(settings, old, found.files)
        for path in found.files.values():
            put_in_place(path)
        work.forget(settings)
    say(
        f"Took out what people wrote in {found.items} messages of {len(found.files)} landing files and {held} records "
        "of the warehouse. Next: make run, which rebuilds."
    )
    return True
