"""What people decide in the pages: rows of SEEDS_DIR/identity_overrides.csv, added and taken out."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from orchestration.explain import Explanation, Link
from orchestration.seeds import REQUIRED
from orchestration.settings import REPOSITORY, Settings, UserError

OVERRIDES = "identity_overrides"
# Questions that are put off: beside the overrides, so that all see the same; the pipeline does not read it.
LATER = "identity_review_later"
LATER_COLUMNS = ("review_id", "author", "decided_at", "until")
PUT_OFF_DAYS = 7


class Gone(UserError):
    """A row to take out is not there (any more)."""


class Decision(NamedTuple):
    """A row of identity_overrides.csv: its line as it stands there, and its fields by name."""

    line: str
    fields: dict[str, str]


def path(name: str = OVERRIDES) -> Path:
    return Settings.of_readers().seeds_dir / f"{name}.csv"


def is_sample() -> bool:
    """Whether the answers go to the repository's own reference files."""
    return Settings.of_readers().seeds_dir == REPOSITORY / "seeds"


def is_writable() -> bool:
    """Taking a row out puts a new file in the place of the old one, so the folder counts too."""
    return os.access(path(), os.R_OK | os.W_OK) and os.access(path().parent, os.W_OK)


def answer(row: str, decision: str, author: str, reason: str) -> dict[str, str]:
    """The override row of a question with the answer, who gave it, when (UTC, now) and why."""
    fields = dict(zip(REQUIRED[OVERRIDES], next(csv.reader([row])), strict=True))
    one_line = " ".join(reason.split())
    return fields | {
        "decision": decision,
        "author": " ".join(author.split()),
        "decided_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        "reason": one_line,
    }


def as_line(fields: dict[str, str], columns: Iterable[str] = REQUIRED[OVERRIDES]) -> str:
    """Fields as a line of CSV, without its end."""
    line = io.StringIO()
    csv.DictWriter(line, columns, lineterminator="", extrasaction="ignore").writerow(fields)
    return line.getvalue()


@contextmanager
def locked(file: Path) -> Iterator[io.FileIO]:
    """The file, opened to read and append, with nobody else writing to it.

    Whoever waited for the lock may hold a file that was replaced meanwhile: then it opens the new one.
    """
    while True:
        with file.open("r+b", buffering=0) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            if os.fstat(opened.fileno()).st_ino == file.stat().st_ino:
                yield opened
                return


def append(rows: list[dict[str, str]], name: str = OVERRIDES) -> list[str]:
    """Adds rows in the file's own order of columns, on disk before it returns; gives their lines."""
    with locked(path(name)) as opened:
        text = opened.readall().decode("utf-8-sig")
        end = "\r\n" if "\r\n" in text else "\n"
        columns = next(csv.reader(text.splitlines()[:1]), [])
        for column in sorted({column for row in rows for column, value in row.items() if value}):
            if column not in columns:
                raise UserError(f"{path(name)} line 1 lacks the column {column}: add it.")
        lines = [as_line(row, columns) for row in rows]
        start = "" if text.endswith(("\n", "\r")) else end
        opened.write((start + "".join(line + end for line in lines)).encode())
        os.fsync(opened.fileno())
    return lines


def undo(line: str) -> None:
    """Takes out exactly this line, the last one if there are several. Raises Gone."""
    with locked(path()) as opened:
        kept = opened.readall().decode("utf-8").splitlines(keepends=True)
        places = [place for place, one in enumerate(kept) if one.rstrip("\r\n") == line]
        if not places:
            raise Gone(f"{path()} no longer has that row: somebody else took it out.")
        del kept[places[-1]]
        with tempfile.NamedTemporaryFile(
            "wb", dir=path().parent, prefix=f".{OVERRIDES}-", delete=False
        ) as fresh:
            fresh.write("".join(kept).encode())
            os.fchmod(fresh.fileno(), os.fstat(opened.fileno()).st_mode & 0o777)
            os.fsync(fresh.fileno())
        os.replace(fresh.name, path())


def decided() -> list[Decision]:
    """What was decided, newest first. A row of several lines, written by hand, is left out."""
    try:
        text = path().read_text(encoding="utf-8-sig")
    except OSError:
        return []
    lines = text.splitlines()
    columns = next(csv.reader(lines[:1]), [])
    found = []
    for line in lines[1:]:
        values = next(csv.reader([line]), [])
        if len(values) == len(columns):
            found.append(Decision(line, dict(zip(columns, values, strict=True))))
    return sorted(found, key=lambda one: one.fields.get("decided_at", ""), reverse=True)


def pair(fields: dict[str, str]) -> str:
    """What a row is about, as REVIEW_ANSWERED compares it."""
    names = ("portfolio_id", "left_type", "left_value", "right_type", "right_value")
    return "|".join(fields[name] for name in names)


def put_off(review_id: str, author: str) -> datetime:
    """Hides a question for all for PUT_OFF_DAYS; returns until when (UTC)."""
    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=PUT_OFF_DAYS)
    row = {
        "review_id": review_id,
        "author": author,
        "decided_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        "until": f"{until:%Y-%m-%d %H:%M:%S}",
    }
    try:
        with path(LATER).open("x", encoding="utf-8") as fresh:
            fresh.write(",".join(LATER_COLUMNS) + "\n")
    except FileExistsError:
        pass
    append([row], LATER)
    return until


def waiting() -> set[str]:
    """The review_ids that are put off still."""
    try:
        with path(LATER).open(newline="", encoding="utf-8") as file:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
            return {row["review_id"] for row in csv.DictReader(file) if (row["until"] or "") > now}
    except OSError:
        return set()


def parts(known: Explanation, left: str, right: str) -> tuple[set[str], set[str]] | None:
    """The nodes on either side when no link joins these two nodes any more; None if others still do.

    Nodes are named as in identity_link.
    """
    cut = {left, right}
    links = [one for one in known.links if {one.left_node_id, one.right_node_id} != cut]
    one, other = _reached(left, links), _reached(right, links)
    return None if right in one else (one, other)


def _reached(node: str, links: list[Link]) -> set[str]:
    found, fresh = {node}, [node]
    while fresh:
        at = fresh.pop()
        for link in links:
            ends = {link.left_node_id, link.right_node_id}
            if at in ends:
                fresh += ends - found
                found |= ends
    return found
