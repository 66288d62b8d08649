"""Forgetting one customer: in landing files, raw, warehouse and published files, for good.

First the ledger remembers keyed hashes (orchestration/landing/forgotten.py); all that follows goes by them alone, so that
it can be repeated after a kill or a restored backup: `make forget` without an ID does. The landing files are written
again without the person's items, raw moves to a new warehouse file without them, everything is worked out anew and
published, and the files that held the text are removed.
"""

from __future__ import annotations

import contextlib
import csv
import getpass
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa

from orchestration import work
from orchestration.landing.files import (
    BLOCK_BYTES,
    Content,
    LandingFile,
    UnreadableFileError,
    list_files,
)
from orchestration.landing.forgotten import (
    ERASED,
    Erasure,
    Forgotten,
    erasures,
    keyed_hash,
    ledger_path,
    read_forgotten,
    remember,
    secret_key,
)
from orchestration.landing.load import CLOCK_TOLERANCE, document_records, waba_of
from orchestration.landing.records import BOM, WHITESPACE, RecordReader, Rejection
from orchestration.ledger import quoted
from orchestration.lock import locked
from orchestration.person import Person, find_person
from orchestration.settings import DATA, Settings, UserError, cure_of
from orchestration.versions import claimed, current_version, kept_versions, remove
from orchestration.warehouse import open_warehouse

HIDDEN = ".forget-"
TABLES = ("load", "landing_file", "webhook", "rejected_record", "published_key", "landing_folder")
ERASED_RECORD = b'{"erased":true}'
FETCHED_ROWS = 1_000


@dataclass
class Found:
    """What shows somebody who was forgotten."""

    items: int = 0  # items, and identifiers within items of others
    records: int = 0  # lines and elements of lists
    files: dict[str, Path] = field(default_factory=dict)  # name below LANDING_DIR -> where it lies


def forget(
    settings: Settings,
    identifier: str | None,
    *,
    yes: bool,
    requested_by: str,
    reason: str,
    say: Callable[[str], None],
    rebuild: Callable[[Settings], str | None],
) -> bool:
    """Erase the customer that an identifier leads to, or finish what was begun; whether anything was erased.

    Without `yes` it only says what would go. `rebuild` runs the main job and tells what went wrong. Raises UserError.
    """
    with locked(settings, say):
        now = datetime.now(UTC).replace(tzinfo=None)
        if not identifier:
            if not erasures(settings):
                raise UserError(
                    "Nobody was forgotten yet: say who by ID=<phone, BSUID, username or customer key>."
                )
            apply(settings, say, rebuild)
            return True
        person = find_person(settings, identifier)
        erasure = erasure_of(settings, person, now, requested_by, reason, make=yes)
        forgotten = Forgotten(erasure_key(settings, yes), [erasure])
        found = rewrite_landing(settings, forgotten, write=False)
        held = held_in_raw(settings, forgotten)
        counts = {
            "identifiers": len({digest for digest, *_ in erasure.identifiers}),
            "items": found.items,
            "landing_records": found.records,
            "landing_files": len(found.files),
            "raw_records": held,
            "customer_keys": len(person.former_keys),
        }
        say(
            f"Customer {person.customer_key}: {len(person.bsuids)} BSUIDs and {len({p for p, *_ in person.phones})} "
            f"phones, {found.items} items in {found.records} records of {len(found.files)} landing files, "
            f"{held} records in the warehouse."
        )
        former = {phone for phone, _, until in person.phones if until and until <= now}
        if lines := seed_lines(settings, former):
            say(f"A number that was theirs stands in {', '.join(lines)}: look whom it means there.")
        held_now = {phone for phone, _, until in person.phones if not (until and until <= now)}
        if lines := seed_lines(settings, {*person.bsuids, *held_now}):
            raise UserError(
                f"Nothing was erased: your reference data names this customer ({', '.join(lines)}); "
                "take these lines out, then run again."
            )
        if not yes:
            say("Nothing was erased. To erase all of this for good, add YES=1.")
            return False
        remember(settings, replace(erasure, counts=counts))
        apply(settings, say, rebuild)
        shutil.rmtree(DATA / "export" / person.customer_key, ignore_errors=True)
        return True


def erasure_key(settings: Settings, make: bool) -> bytes:
    """The key; for a look at what would go, one that nobody keeps."""
    if not make and not settings.forget_key_file.exists():
        return bytes(32)
    return secret_key(settings, make=make)


def erasure_of(
    settings: Settings, person: Person, now: datetime, requested_by: str, reason: str, *, make: bool
) -> Erasure:
    """What the ledger will hold of a person: hashes, no identifier."""
    key = erasure_key(settings, make)
    return Erasure(
        forgotten_at=now.isoformat(timespec="seconds") + "Z",
        requested_by=requested_by or getpass.getuser(),
        reason=reason,
        waba_ids=person.waba_ids,
        identifiers=[
            [keyed_hash(key, name), begin, end] for name, begin, end in person.identifiers(now)
        ],
        customer_keys=sorted({*person.former_keys, person.customer_key}),
    )


def seed_lines(settings: Settings, names: set[str]) -> list[str]:
    """Lines of the reference CSVs with one of these identifiers: they are somebody's own files, and not rewritten."""
    found = []
    for path in sorted(settings.seeds_dir.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            for row in reader:
                if any(cell.strip() in names or re.sub(r"\D", "", cell) in names for cell in row):
                    found.append(f"{path.name} line {reader.line_num}")
    return found


def apply(
    settings: Settings, say: Callable[[str], None], rebuild: Callable[[Settings], str | None]
) -> None:
    """Bring everything to what the ledger says. Can be repeated. Raises UserError."""
    forgotten = read_forgotten(settings)
    remove_leftovers(settings)
    found = rewrite_landing(settings, forgotten, write=True)
    say(f"{found.items} items of {found.records} records in {len(found.files)} landing files.")
    renew_warehouse(settings, forgotten, found.files)
    for path in found.files.values():
        put_in_place(path)
    work.forget(settings)
    if failed := rebuild(settings):
        raise UserError(f"{failed} Then run `make forget` again: the former files are still there.")
    remove_copies(settings)
    say(f"Erased and published anew; {ledger_path(settings)} keeps keyed hashes and who asked.")


# --- Landing files --------------------------------------------------------------------------------


def hidden(path: Path) -> Path:
    """Where a landing file is written again before it takes its place; no load looks at it."""
    return path.with_name(HIDDEN + path.name)


def rewrite_landing(settings: Settings, forgotten: Forgotten, *, write: bool) -> Found:
    """Find what shows who was forgotten in the landing files; `write` these again, hidden beside the old ones."""
    listing = list_files(settings.landing_dir)
    if listing.unreadable:
        name, why = next(iter(listing.unreadable.items()))
        raise UserError(f"Nothing was erased: {name} cannot be looked into ({why}).")
    first_modified = {}
    if settings.warehouse_path.exists():
        with open_warehouse(settings, read_only=True) as warehouse:
            first_modified = dict(
                warehouse.execute(
                    "select landing_file, epoch_us(first_modified_at) from raw.landing_file"
                ).fetchall()
            )
    found = Found()
    for file in listing.files:
        rewriting = Rewriting(
            settings, forgotten, file, first_modified.get(file.name, file.modified_at)
        )
        path = Path(os.path.realpath(file.path))
        try:
            rewriting.run(hidden(path) if write else None)
        except (OSError, UnreadableFileError) as error:
            if write and (cure := cure_of(str(error))):
                raise UserError(
                    f"Not erased yet: {file.name} cannot be written again ({error}); {cure}, then `make forget` "
                    "without ID finishes it."
                ) from error
            raise UserError(
                f"Nothing was erased: {file.name} cannot be looked into ({error}); mend it or take it away."
            ) from error
        if rewriting.records:
            found.items += rewriting.items
            found.records += rewriting.records
            found.files[file.name] = path
    return found


class Rewriting:
    """One landing file being written again without those who were forgotten."""

    def __init__(
        self, settings: Settings, forgotten: Forgotten, file: LandingFile, first_modified_at: int
    ) -> None:
        self.forgotten = forgotten
        self.file = file
        self.first_modified_at = first_modified_at
        self.items = self.records = 0
        latest = datetime.now(UTC) + CLOCK_TOLERANCE
        self.reader = RecordReader(
            fallback=first_modified_at,
            latest=int(latest.timestamp() * 1_000_000),
            waba_id=waba_of(file.name),
            body_path=tuple(settings.body_path.split(".")) if settings.body_path else (),
        )

    def run(self, target: Path | None) -> None:
        """Count what is to go, and write the rest to `target`, which is removed again where nothing goes."""
        if not self.file.size_bytes:
            return
        output = open_archive(target, self.file.compression) if target else None
        with Content(self.file) as content:
            for piece in self.pieces(content):
                if output:
                    output.write(piece)
        if output:
            output.close()
            if not self.records:
                target.unlink()
                return
            # the time by which records are dated that tell none
            os.utime(target, ns=(self.first_modified_at * 1000, self.first_modified_at * 1000))
            status = os.stat(self.file.path)
            keep_rights(Path(self.file.path), target)
            if (status.st_size, status.st_mtime_ns // 1000) != (
                self.file.size_bytes,
                self.file.modified_at,
            ):
                raise OSError("it is being written")

    def pieces(self, content: Content) -> Iterator[bytes]:
        if not self.file.is_document:
            yield from map(self.without, lines_of(content))
            return
        document = b"".join(iter(lambda: content.read(BLOCK_BYTES), b""))
        text = document.removeprefix(BOM).strip(WHITESPACE)
        try:
            records = document_records(text)
        except (msgspec.DecodeError, RecursionError):
            yield from map(self.without, document.splitlines(keepends=True))
            return
        left = [self.without(record) for record in records]
        if not self.records:
            yield document
        else:
            yield b"[" + b",\n".join(left) + b"]" if text.startswith(b"[") else left[0]

    def without(self, line: bytes) -> bytes:
        """A line, or the element of a list, as it is to be: others' lines stay as they are, byte for byte."""
        record = line.removeprefix(BOM).strip(WHITESPACE)
        if not record:
            return line
        end = line[len(line.rstrip(WHITESPACE)) :]
        try:
            body, received_at, parts, _ = self.reader.read(record)
        except Rejection:
            if not self.forgotten.mentions(record):
                return line
            self.items += 1
            self.records += 1
            return ERASED_RECORD + end
        left, cuts = self.forgotten.without(body, received_at)
        kept = [part.record for part in parts if not self.forgotten.mentions(part.record)]
        gone = len(cuts) + len(parts) - len(kept)
        if not gone:
            return line
        self.items += gone
        self.records += 1
        # with its receipt: it could not be told from what is left
        time = (datetime(1970, 1, 1) + timedelta(microseconds=received_at)).isoformat() + "Z"
        bodies = [msgspec.Raw(part) for part in (left, *kept)]
        return (
            msgspec.json.encode({"received_at": time, "body": bodies if kept else bodies[0]}) + end
        )


def keep_rights(former: Path, new: Path) -> None:
    """Give a file the rights of the one whose place it takes, and its owner where that is allowed."""
    shutil.copymode(former, new)
    with contextlib.suppress(PermissionError):
        os.chown(new, former.stat().st_uid, former.stat().st_gid)


def lines_of(content: Content) -> Iterator[bytes]:
    """The lines of a file with their ends; the last may have none."""
    rest = b""
    while block := content.read(BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def open_archive(path: Path, compression: str | None):
    if compression == "gzip":
        return gzip.GzipFile(path, "wb", mtime=0)
    if compression == "zstd":
        return pa.CompressedOutputStream(str(path), "zstd")
    return path.open("wb")


def put_in_place(path: Path) -> None:
    """Let the file that was written again take its place."""
    with hidden(path).open("rb") as file:
        os.fsync(file.fileno())
    os.replace(hidden(path), path)


def remove_leftovers(settings: Settings) -> None:
    """Remove what a killed `forget` wrote and did not put in place."""
    for path in settings.landing_dir.rglob(f"{HIDDEN}*"):
        path.unlink()
    for path in settings.warehouse_path.parent.glob(f"{HIDDEN}{settings.warehouse_path.name}*"):
        remove(path)


# --- The warehouse --------------------------------------------------------------------------------


def held_in_raw(settings: Settings, forgotten: Forgotten) -> int:
    """How many records in raw show who was forgotten."""
    with open_warehouse(settings, read_only=True) as warehouse:
        return sum(1 for _ in bodies_without(warehouse, forgotten, "raw"))


def bodies_without(connection, forgotten: Forgotten, schema: str) -> Iterator[tuple[int, str]]:
    """(rowid, body without them) of every row of raw.webhook that shows who was forgotten."""
    cursor = connection.cursor()
    cursor.execute(f"select rowid, epoch_us(received_at), body from {schema}.webhook")
    while rows := cursor.fetchmany(FETCHED_ROWS):
        for rowid, received_at, body in rows:
            left, cuts = forgotten.without(body.encode(), received_at)
            if cuts:
                yield rowid, left.decode()
    cursor.close()


def renew_warehouse(settings: Settings, forgotten: Forgotten, reloaded: Iterable[str]) -> None:
    """Put a new warehouse in the place of the old one: raw without who was forgotten and without these landing files.

    The blocks of a DuckDB file that are freed still hold what was in them: only a new file has nothing.
    """
    path = settings.warehouse_path
    new = path.with_name(HIDDEN + path.name)
    with open_warehouse(settings) as warehouse:
        warehouse.execute("checkpoint")  # no log is left that would be played into the new file
    erased_keys = [key for erasure in erasures(settings) for key in erasure.customer_keys]
    with open_warehouse(settings.model_copy(update={"warehouse_path": new})) as warehouse:
        warehouse.execute(f"attach {quoted(path)} as former (read_only)")
        warehouse.execute(
            "create temp table reloaded as select unnest(?) as landing_file",
            [list(reloaded) or [""]],
        )
        warehouse.execute("create temp table left_of_body (id bigint, body varchar)")
        if rows := list(bodies_without(warehouse, forgotten, "former.raw")):
            warehouse.register(
                "rows",
                pa.table(
                    {
                        "id": [rowid for rowid, _ in rows],
                        "body": pa.array([body for _, body in rows], pa.large_string()),
                    }
                ),
            )
            warehouse.execute("insert into left_of_body from rows")
        rejected = warehouse.execute(
            "select rowid, record_text from former.raw.rejected_record"
        ).fetchall()
        mentioned = [rowid for rowid, text in rejected if forgotten.mentions(text.encode())]
        warehouse.execute(
            "create temp table mentioned as select unnest(?::bigint[]) as id", [mentioned]
        )
        replaced = {
            "webhook": "replace (coalesce(left_of_body.body, kept.body) as body)",
            "rejected_record": (
                "replace (if(mentioned.id is null, kept.record_text, '') as record_text, "
                "if(mentioned.id is null, kept.reason, 'forgotten: It shows somebody who was forgotten') as reason)"
            ),
            "published_key": (
                f"replace (if(customer_key in (select unnest(?)), '{ERASED}', identifier) as identifier, "
                f"if(customer_key in (select unnest(?)), '{ERASED}', event_id) as event_id)"
            ),
        }
        for name in TABLES:
            query = f"insert into raw.{name} by name select kept.* {replaced.get(name, '')} from former.raw.{name} as kept"
            if name == "webhook":
                query += " left join left_of_body on kept.rowid = left_of_body.id"
            if name == "rejected_record":
                query += " left join mentioned on kept.rowid = mentioned.id"
            if name in ("landing_file", "webhook", "rejected_record"):
                query += " where kept.landing_file not in (select landing_file from reloaded)"
            warehouse.execute(query, [erased_keys] * query.count("?"))
        warehouse.execute("detach former")
        warehouse.execute("checkpoint")
    keep_rights(path, new)
    os.replace(new, path)
    shutil.rmtree(f"{path}.tmp", ignore_errors=True)


# --- Published files ------------------------------------------------------------------------------


def remove_copies(settings: Settings) -> None:
    """Leave only the version that was published now."""
    with claimed(settings):
        current = current_version(settings).name
        for version in kept_versions(settings):
            if version.name != current:
                remove(version)


def log_of(settings: Settings) -> list[dict]:
    """What was erased when, and who asked: no identifier and no hash."""
    return [
        {
            "forgotten_at": erasure.forgotten_at,
            "requested_by": erasure.requested_by,
            "reason": erasure.reason,
            **erasure.counts,
        }
        for erasure in erasures(settings)
    ]


def shown_log(settings: Settings) -> str:
    return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in log_of(settings))
