"""One run: from a profile and a seed to landing files, truth and seeds in a folder."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from . import business, delivery, identifiers, traffic, truth, updates, world, writer
from .profile import END, Profile
from .updates import ECHOED, MESSAGE, SPECIAL

# A person's webhook updates are counted on a pilot of this size to meet `--events`.
PILOT_PERSONS = 2000


def simulate(
    profile: Profile, persons: int, years: float, seed: int, out: Path, workers: int = 2
) -> dict:
    """Write `out`/landing, `out`/truth, `out`/seeds and `out`/summary.json; return the summary.

    The same profile, persons, years and seed give the same bytes, whatever `workers` is.
    """
    if years < 0.25:
        raise ValueError("a run of under three months has no history")
    for part in ("landing", "truth", "seeds"):
        shutil.rmtree(out / part, ignore_errors=True)
    people = world.build(profile, persons, years, seed)
    flow, rotations, groups = traffic.build(people, seed)
    bsuid, parent = identifiers.bsuids(people, seed)
    showing = updates.Showing(people, bsuid, parent)
    sent = updates.build(people, flow, rotations, groups, showing, seed)
    arrival = delivery.build(profile, sent, seed)
    job = writer.Job(people, flow, sent, arrival, bsuid, parent, out / "landing", seed)
    files = writer.write(job, workers)
    tables = truth.build(people, flow, rotations, sent, arrival, showing, bsuid)
    tables.write(out / "truth")
    write_business_accounts(profile, out / "seeds" / "business_accounts.csv")

    labels = Counter(special.label for special in sent.specials)
    summary = {
        "profile": asdict(profile),
        "persons": persons,
        "years": years,
        "seed": seed,
        "as_of": datetime.fromtimestamp(END, UTC).isoformat(),
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "lines": sum(file.lines for file in files),
        "rejected_lines": sum(file.rejected for file in files),
        "updates": len(arrival.update),
        "distinct_updates": int(arrival.arrived.sum()),
        "largest_body": int(np.bincount(arrival.body).max()),
        "messages": tables.messages.num_rows,
        "distinct_by_kind": {
            "message": int(((sent.kind == MESSAGE) & arrival.arrived).sum()),
            "echo": int(((sent.kind == ECHOED) & arrival.arrived).sum()),
            "special": int(((sent.kind == SPECIAL) & arrival.arrived).sum()),
            "specials_sent": dict(sorted(labels.items())),
        },
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def persons_for(profile: Profile, events: int, years: float, seed: int) -> int:
    """How many persons give about `events` webhook updates."""
    people = world.build(profile, PILOT_PERSONS, years, seed)
    flow, rotations, groups = traffic.build(people, seed)
    bsuid, parent = identifiers.bsuids(people, seed)
    showing = updates.Showing(people, bsuid, parent)
    sent = updates.build(people, flow, rotations, groups, showing, seed)
    arrival = delivery.build(profile, sent, seed)
    return max(1, round(events * PILOT_PERSONS / len(arrival.update)))


def _seed_time(seconds: int) -> str:
    """A time as the seed has it, empty for never."""
    if seconds >= business.NEVER:
        return ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def write_business_accounts(profile: Profile, path: Path) -> None:
    """The seed that maps WABAs to portfolios; what is its own portfolio is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    books = business.contact_book(profile)
    rows = {}
    for number in business.NUMBERS:
        portfolio_id = business.PORTFOLIO_IDS[number.portfolio]
        if portfolio_id.startswith("waba:"):
            continue
        opens, closes = books[business.OWNERS[number.portfolio]]
        # A WABA that changes hands does so as a whole.
        handed_over = (
            len({n.portfolio for n in business.NUMBERS if n.waba_id == number.waba_id}) > 1
        )
        rows[number.waba_id, portfolio_id] = (
            number.waba_id,
            portfolio_id,
            business.BUSINESS_NAMES[number.portfolio],
            business.DEFAULT_COUNTRIES[number.portfolio],
            _seed_time(number.since) if handed_over and number.since else "",
            _seed_time(number.until) if handed_over else "",
            _seed_time(opens),
            _seed_time(closes),
        )
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            (
                "waba_id",
                "portfolio_id",
                "business_name",
                "default_country",
                "valid_from",
                "valid_to",
                "contact_book_from",
                "contact_book_to",
            )
        )
        table.writerows(rows.values())
