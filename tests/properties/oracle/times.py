"""Reading and writing moments (section 1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

MICROSECOND = timedelta(microseconds=1)


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


def moment_text(when: datetime) -> str:
    """ISO 8601 with microseconds, in UTC, without a zone."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
