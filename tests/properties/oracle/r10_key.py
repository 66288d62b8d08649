"""R10: the key of a customer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from .model import KeyParts, Observation
from .times import moment_text


def r10_evidence(seen: Observation, identifier: str) -> tuple[datetime, str, str, str]:
    """What an observation contributes to the key of a node: (receipt, event id, WABA, identifier)."""
    return (seen.received_at, seen.event_id, seen.waba_id, identifier)


def r10_key(observations: Iterable[tuple[datetime, str, str, str]]) -> tuple[str, KeyParts]:
    """The key of a customer and what it is the hash of: its earliest observation."""
    received_at, event, waba, identifier = min(observations)
    parts = (moment_text(received_at), event, waba, identifier)
    return hashlib.md5("|".join(parts).encode()).hexdigest(), parts
