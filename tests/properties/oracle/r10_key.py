"""R10: the key of a customer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from .times import moment_text


def r10_key(observations: Iterable[tuple[datetime, str, str]]) -> tuple[str, tuple[str, str, str]]:
    """The key of a customer and what it is the hash of: its earliest observation."""
    received_at, event, identifier = min(observations)
    parts = (moment_text(received_at), event, identifier)
    return hashlib.md5("|".join(parts).encode()).hexdigest(), parts
