"""How updates arrive: lost, twice, late, in backlogs, in batches, spread over files."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from .profile import DAY, END, HOUR, Profile
from .updates import SPECIAL, Updates

BATCH_LIMIT = 1000  # updates per POST, Meta's webhook guide
SPAN = 300_000  # ms: a small batch collects no longer


@dataclass
class Delivery:
    """Deliveries ordered by receipt; parallel arrays, one row per update and copy."""

    update: np.ndarray  # row of Updates
    received: np.ndarray  # epoch milliseconds of the body that carries it
    body: np.ndarray  # running number of the body
    arrived: np.ndarray  # [updates] bool: delivered at least once


def build(profile: Profile, updates: Updates, seed: int) -> Delivery:
    """Draw the delivery of every update. What would arrive after END has not arrived yet."""
    rng = np.random.default_rng([seed, 4])
    count = len(updates.time)
    lost = rng.random(count) < profile.lost
    # The loss of rotations is drawn per change, where its rate is declared.
    changes = np.array([special.rotation >= 0 for special in updates.specials], bool)
    special = updates.kind == SPECIAL
    lost[special] &= ~changes[updates.ref[special]]
    kept = np.flatnonzero(~lost)

    received = updates.time[kept] * 1000 + 1000
    if profile.shuffled:
        received += np.minimum(rng.exponential(1500, len(kept)), 30_000).astype(np.int64)
    late = rng.random(len(kept)) < profile.late
    received[late] += (rng.random(late.sum()) * profile.late_max * 1000).astype(np.int64)
    again = np.flatnonzero(rng.random(len(kept)) < profile.duplicates)
    wait = np.minimum(rng.exponential(20 * 60_000, len(again)), 6 * HOUR * 1000)
    received = np.concatenate([received, received[again] + 1 + wait.astype(np.int64)])
    row = np.concatenate([kept, kept[again]])
    received, backlogs = _outages(profile, rng, received)

    here = received < END * 1000
    order = np.flatnonzero(here)[np.argsort(received[here], kind="stable")]
    row, received = row[order], received[order]
    body = _bodies(profile, rng, received, backlogs)
    last = np.flatnonzero(np.diff(body, append=-1))
    received = received[last][body]  # a body is received when its newest update is
    arrived = np.zeros(count, bool)
    arrived[row] = True
    return Delivery(row, received, body, arrived)


def _outages(
    profile: Profile, rng: np.random.Generator, received: np.ndarray
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """While the endpoint is down nothing arrives; afterwards everything does, within seconds.

    An outage lasts as long as about BATCH_LIMIT updates take, but not over the pinned 6 hours.
    """
    if not profile.outages or not len(received):
        return received, []
    middle = np.sort(received)[(rng.random(profile.outages) * len(received) * 0.95).astype(int)]
    span = np.ptp(received)
    length = int(min(5.5 * HOUR * 1000, span * 1.5 * BATCH_LIMIT / len(received)))
    backlogs = []
    for start in np.sort(middle).tolist():
        down = (received >= start) & (received < start + length)
        received = received.copy()
        received[down] = start + length + rng.integers(0, 2000, down.sum())
        backlogs.append((start + length, start + length + 2000))
    return received, backlogs


def _bodies(
    profile: Profile,
    rng: np.random.Generator,
    received: np.ndarray,
    backlogs: list[tuple[int, int]],
) -> np.ndarray:
    """The body of each delivery: mostly one update, sometimes a few, a backlog in full ones."""
    count = len(received)
    opens = np.ones(count, bool)
    candidates = np.flatnonzero(rng.random(count) < profile.batched)
    sizes = 2 + rng.geometric(0.25, len(candidates))
    for start, size in zip(candidates.tolist(), sizes.tolist(), strict=True):
        end = min(start + size, count)
        while end > start + 1 and received[end - 1] - received[start] > SPAN:
            end -= 1
        opens[start + 1 : end] = False
    for begin, end in backlogs:
        first, last = np.searchsorted(received, (begin, end)).tolist()
        opens[first:last] = False
        opens[first:last:BATCH_LIMIT] = True
        if last < count:
            opens[last] = True
    return np.cumsum(opens) - 1


def file_names(received: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The landing file of each delivery: three per month, named by their first day.

    Returns the file index per row (ascending, as receipts are) and the names.
    """
    days = received // (DAY * 1000)
    unique, where = np.unique(days, return_inverse=True)
    names = []
    for day in unique.tolist():
        date = datetime.fromtimestamp(day * DAY, UTC)
        first = 1 if date.day <= 10 else 11 if date.day <= 20 else 21
        names.append(f"{date:%Y-%m}/webhooks-{date:%Y%m}{first:02d}.jsonl")
    files, code = np.unique(np.array(names), return_inverse=True)
    return code[where], files.tolist()
