"""Loading landing files into the raw schema: all of a run in one transaction."""

import hashlib
import io
import itertools
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import duckdb
import msgspec
import pyarrow as pa

from orchestration.landing.files import (
    BLOCK_BYTES,
    SUFFIXES,
    Content,
    LandingFile,
    Listing,
    UnreadableFileError,
    list_files,
    read_exactly,
)
from orchestration.landing.folder import LandingError, check_folder, remember_folder
from orchestration.landing.forgotten import read_forgotten
from orchestration.landing.records import (
    BOM,
    EARLIEST,
    WHITESPACE,
    Part,
    RecordReader,
    Rejection,
    describe,
)
from orchestration.settings import Settings

# The largest webhook is 3 MiB; as an escaped string in an envelope it may take six times that.
MAX_LINE_BYTES = 64 << 20
# A JSON document is read as a whole, unlike lines.
MAX_DOCUMENT_BYTES = 128 << 20
# Of a line that is longer than any webhook, so much is kept; the file has the rest.
KEPT_BYTES = 64 << 10
# A document of very many tiny values would fill the memory many times over.
MIN_VALUE_BYTES = 16
MANY_VALUES = 1_000_000
# Rows go to DuckDB in Arrow batches of about this size.
BATCH_BYTES = 4 << 20
BATCH_ROWS = 50_000
# Rejected records are written in between when they fill this much memory.
REJECTED_BYTES = 64 << 20
# Short lines that were rejected are remembered, so that a file of rubbish is read quickly.
SHORT_BYTES = 64
SHORT_LINES = 1000
# A .json file that is no document is taken for lines if one of so many is a webhook.
FIRST_LINES = 1000
CLOCK_TOLERANCE = timedelta(days=1)

_WABA_FOLDER = re.compile(r"(?:^|/)waba_id=([^/]+)/")
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


class _ChangedFileError(Exception):
    """The part of a file that was loaded before is no longer what it was."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load has come."""

    files_done: int
    files_total: int
    records: int
    rejected: int


@dataclass(slots=True)
class LoadResult:
    """What one load did. The lists hold names of files, below LANDING_DIR."""

    load_id: int
    files: int = 0  # seen
    new: int = 0
    grown: int = 0
    unchanged: int = 0
    ignored: int = 0  # with other endings than landing files have
    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # code -> whole records
    rejected_parts: Counter[str] = field(default_factory=Counter)  # code -> parts of loaded records
    repaired: int = 0  # places in loaded records that were no valid Unicode
    empty_lines: int = 0
    bytes: int = 0  # decompressed bytes taken in
    seconds: float = 0.0
    waiting: list[str] = field(default_factory=list)  # end in an unterminated line
    left_out: dict[str, str] = field(default_factory=dict)  # name -> why, and what would help
    hint: str | None = None  # where nothing was ever taken: what is there, and what would help

    @property
    def rejected_count(self) -> int:
        return self.rejected.total()

    @property
    def records_per_second(self) -> float:
        return self.records / self.seconds if self.seconds else 0.0

    def sentences(self) -> list[str]:
        """What a person should know beyond the counts, a sentence each; the files left out first."""
        said = [f"{name} was left out: {why}." for name, why in self.left_out.items()]
        if self.rejected or self.rejected_parts:
            kinds = ", ".join(
                f"{code} {count}" for code, count in (self.rejected + self.rejected_parts).items()
            )
            said.append(
                f"{self.rejected_count} records and {self.rejected_parts.total()} parts of others "
                f"were rejected ({kinds}): raw.rejected_record tells file, line and why."
            )
        if self.repaired:
            said.append(f"{self.repaired} places that were no valid Unicode became U+FFFD.")
        if self.waiting:
            rest = f" and {len(self.waiting) - 5} more files" if len(self.waiting) > 5 else ""
            said.append(
                f"The last line of {', '.join(self.waiting[:5])}{rest} waits: it has no line end yet."
            )
        if self.hint:
            said.append(self.hint)
        return said


@dataclass(slots=True)
class _FileState:
    """A row of raw.landing_file; times in microseconds since 1970 UTC."""

    size_bytes: int
    modified_at: int
    loaded_bytes: int
    loaded_lines: int
    content_hash: str
    record_count: int
    rejected_count: int
    empty_line_count: int
    rejected_part_count: int
    repaired_count: int
    recovered_count: int
    waiting_bytes: int
    first_seen_at: int
    first_modified_at: int


_STATE_COLUMNS = tuple(_FileState.__dataclass_fields__)
_WEBHOOKS = pa.schema(
    [
        ("landing_file", pa.string()),
        ("line_number", pa.int32()),
        ("received_at", pa.timestamp("us")),
        ("body", pa.large_string()),
    ]
)
_EMPTY_HASH = hashlib.sha256().hexdigest()


def load_landing_dir(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    now: datetime | None = None,
) -> LoadResult:
    """Loads what is new below LANDING_DIR into raw.webhook and raw.rejected_record.

    One transaction: whenever the process ends before it, nothing has happened. Files that changed
    where they were loaded before, or cannot be read, are left out and named in the result; the next
    load tries them again. `on_progress` is called about once a second, from any thread. `now` is the
    time of the load (UTC if it has no zone). Raises LandingError.
    """
    check_folder(connection, settings)
    started = time.perf_counter()
    now = datetime.now(UTC) if now is None else now
    if now.tzinfo is not None:
        now = now.astimezone(UTC).replace(tzinfo=None)

    listing = list_files(settings.landing_dir)
    connection.execute("begin")
    try:
        load = _Load(connection, settings, listing, now, on_progress)
        load.run()
        load.finish()
        remember_folder(connection, settings)
        connection.execute("commit")
    except BaseException as error:
        with suppress(duckdb.Error):  # the first error is the one to tell
            connection.execute("rollback")
        if isinstance(error, duckdb.Error):
            raise LandingError(
                f"The warehouse could not take the webhooks in, nothing was loaded: {error}"
            ) from error
        raise
    load.result.seconds = time.perf_counter() - started
    return load.result


class _Load:
    """One load: reads the files, feeds DuckDB, keeps the counts."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        settings: Settings,
        listing: Listing,
        now: datetime,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.files = listing.files
        self.now = now
        self.now_us = (now - _EPOCH) // _MICROSECOND
        self.latest_us = self.now_us + CLOCK_TOLERANCE // _MICROSECOND
        self.on_progress = on_progress
        self.last_progress = time.monotonic()
        (load_id,) = connection.execute(
            "select coalesce(max(load_id), 0) + 1 from raw.load"
        ).fetchone()
        self.result = LoadResult(load_id=load_id, files=len(self.files), ignored=listing.ignored)
        self.result.left_out.update(listing.unreadable)
        self.forgotten = read_forgotten(settings)
        self.known = self._read_ledger()
        self.loaded: dict[str, _FileState] = {}
        self.discarded: list[str] = []
        self.batch = _Batch()
        # [file, line, how many equal lines, JSON path of a part, reason, text]
        self.rejected: list[list] = []
        self.first_rejected: tuple[str, int, bytes] | None = None
        self.rejected_bytes = 0
        self.files_done = 0
        self.lines = 0  # non-empty ones: each must end up in one of the two tables

    def _read_ledger(self) -> dict[str, _FileState]:
        columns = ", ".join(
            f"epoch_us({name})" if name.endswith("_at") else name for name in _STATE_COLUMNS
        )
        rows = self.connection.execute(f"select landing_file, {columns} from raw.landing_file")
        return {name: _FileState(*values) for name, *values in rows.fetchall()}

    # Feeding DuckDB

    def run(self) -> None:
        """Streams all accepted records into raw.webhook.

        DuckDB's threads take turns in pulling batches: while one of them runs the Python code that
        reads and checks the next lines, the others compress and write the ones before.
        """
        pieces = self._batches()
        failure: list[BaseException] = []
        more = True

        def until_pause() -> Iterator[pa.RecordBatch]:
            # DuckDB would turn an exception into text, and cannot write the rejected records
            # while it reads from here: both end the stream, and are seen to outside.
            nonlocal more
            try:
                for batch in pieces:
                    yield batch
                    if self.rejected_bytes >= REJECTED_BYTES:
                        return
            except BaseException as error:
                failure.append(error)
            more = False

        while more:
            reader = pa.RecordBatchReader.from_batches(_WEBHOOKS, until_pause())
            # As the bare stream: a reader would be scanned by threads of Arrow's own besides.
            self.connection.register("landing_batch", reader.__arrow_c_stream__())
            self.connection.execute(
                "insert into raw.webhook"
                " select ?, landing_file, line_number, received_at, body, ? from landing_batch",
                [self.result.load_id, self.now],
            )
            self.connection.unregister("landing_batch")
            if failure:
                raise failure[0]
            self._write_rejected()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            self.files_done += 1
            known = self.known.get(file.name)
            if (
                known is not None
                and known.size_bytes == file.size_bytes
                and known.modified_at == file.modified_at
            ):
                self.result.unchanged += 1
                if known.waiting_bytes:
                    self.result.waiting.append(file.name)
                continue
            yield from self._load_file(file, known)
        if self.batch.bodies:
            yield self.take_batch()

    def take_batch(self) -> pa.RecordBatch:
        """What has been accepted since the last batch."""
        batch, self.batch = self.batch, _Batch()
        return batch.to_arrow()

    def _load_file(self, file: LandingFile, known: _FileState | None) -> Iterator[pa.RecordBatch]:
        result, lines = self.result, self.lines
        before = (result.records, result.empty_lines, result.repaired)
        rejected_before = (result.rejected.copy(), result.rejected_parts.copy())
        reading = _Reading(self, file, known)
        try:
            if file.size_bytes or (known and known.loaded_bytes):
                with Content(file) as content:
                    yield from reading.read(content)
        except (OSError, _ChangedFileError, UnreadableFileError) as error:
            # What was read of it so far goes: a file loads whole or not at all.
            if self.lines > lines:
                self.discarded.append(file.name)
            self.lines = lines
            result.records, result.empty_lines, result.repaired = before
            result.rejected, result.rejected_parts = rejected_before
            if isinstance(error, FileNotFoundError):
                why = "it was gone when it was to be read"
            elif isinstance(error, OSError):
                why = f"{error.strerror or error}; bring it again, whole and readable"
            else:
                why = str(error)
            result.left_out[file.name] = why
            return
        state = reading.state
        self.loaded[file.name] = state
        self.result.bytes += state.loaded_bytes - (known.loaded_bytes if known else 0)
        if state.waiting_bytes:
            self.result.waiting.append(file.name)
        if known is None:
            self.result.new += 1
        elif state.loaded_bytes > known.loaded_bytes:
            self.result.grown += 1
        else:
            self.result.unchanged += 1

    def reject(self, name: str, line_number: int, reason: str, record: bytes) -> None:
        """Takes down a record that is not loaded."""
        self.result.rejected[_code(reason)] += 1
        if _code(reason) == "forgotten":
            record = b""
        self._take_down(name, line_number, None, reason, record)
        if self.first_rejected is None:
            self.first_rejected = (name, line_number, record)

    def repeat_rejected(self, count: int) -> None:
        """The lines after the last rejected one are equal to it: one row tells of all."""
        last = self.rejected[-1]
        last[2] += count
        self.result.rejected[_code(last[4])] += count

    def reject_parts(self, name: str, line_number: int, parts: list[Part]) -> None:
        """Takes down what is left out of a record that is loaded."""
        for part in parts:
            self.result.rejected_parts[_code(part.reason)] += 1
            self._take_down(name, line_number, part.json_path, part.reason, part.record)

    def _take_down(
        self, name: str, line_number: int, path: str | None, reason: str, record: bytes
    ) -> None:
        text = record.decode(errors="backslashreplace")
        self.rejected.append([name, line_number, 1, path, reason, text])
        self.rejected_bytes += len(record) + 200

    def _write_rejected(self) -> None:
        if self.rejected:
            write_rejected(self.connection, self.result.load_id, self.now, self.rejected)
        self.rejected = []
        self.rejected_bytes = 0

    def report(self) -> None:
        """Tells how far the load is, if a second has passed since it last did."""
        if self.on_progress is None or time.monotonic() - self.last_progress < 1:
            return
        self.last_progress = time.monotonic()
        result = self.result
        self.on_progress(
            Progress(self.files_done, len(self.files), result.records, result.rejected_count)
        )

    # Closing the books

    def finish(self) -> None:
        """Drops what was read of unsound files, checks the counts, writes the ledger."""
        load_id = self.result.load_id
        for name in self.discarded:
            for table in ("raw.webhook", "raw.rejected_record"):
                self.connection.execute(
                    f"delete from {table} where load_id = ? and landing_file = ?", [load_id, name]
                )
        (stored,) = self.connection.execute(
            "select count(*) from raw.webhook where load_id = ?", [load_id]
        ).fetchone()
        rejected, parts = self.connection.execute(
            "select coalesce(sum(line_count) filter (json_path is null), 0), count(json_path)"
            " from raw.rejected_record where load_id = ?",
            [load_id],
        ).fetchone()
        result = self.result
        expected = (result.records, result.rejected_count, result.rejected_parts.total())
        if (stored, rejected, parts) != expected or stored + rejected != self.lines:
            raise LandingError(
                f"The counts do not agree ({self.lines} records read, {stored} loaded, {rejected} and "
                f"{parts} parts rejected): nothing was loaded; run again, and report this if it comes "
                "back."
            )
        self._write_ledger()
        self._give_hint()
        with_lines = sum(
            name not in self.known or state.loaded_lines > self.known[name].loaded_lines
            for name, state in self.loaded.items()
        )
        self.connection.execute(
            "insert into raw.load by name select ? as load_id, ? as started_at, ? as finished_at,"
            " ? as files, ? as records, ? as rejected, ? as bytes",
            [
                load_id,
                self.now,
                max(datetime.now(UTC).replace(tzinfo=None), self.now),
                with_lines,
                stored,
                rejected,
                self.result.bytes,
            ],
        )

    def _give_hint(self) -> None:
        """Says what is in the folder if nothing of it was ever taken."""
        (records,) = self.connection.execute(
            "select coalesce(sum(record_count), 0) from raw.landing_file"
        ).fetchone()
        root = self.settings.landing_dir
        if records:
            return
        if self.first_rejected:
            name, line_number, record = self.first_rejected
            self.result.hint = (
                f"Nothing was taken from LANDING_DIR={root}: look at the first record, {name} line "
                f"{line_number}: {describe(record)}."
            )
        elif self.result.ignored and not self.files and not self.result.left_out:
            self.result.hint = (
                f"Nothing was taken from LANDING_DIR={root}: its {self.result.ignored} files have other "
                f"endings than {', '.join(SUFFIXES)} (and .gz or .zst after it); rename them."
            )

    def _write_ledger(self) -> None:
        if not self.loaded:
            return
        states = list(self.loaded.values())
        columns = {"landing_file": pa.array(list(self.loaded))}
        for name in _STATE_COLUMNS:
            kind = pa.timestamp("us") if name.endswith("_at") else None
            columns[name] = pa.array([getattr(state, name) for state in states], kind)
        self.connection.register("landing_ledger", pa.table(columns))
        names = ("landing_file", *_STATE_COLUMNS, "last_load_id", "last_loaded_at")
        self.connection.execute(
            f"insert or replace into raw.landing_file ({', '.join(names)})"
            " select *, ?, ? from landing_ledger",
            [self.result.load_id, self.now],
        )
        self.connection.unregister("landing_ledger")


def _code(reason: str) -> str:
    return reason.partition(":")[0]


def write_rejected(
    connection: duckdb.DuckDBPyConnection, load_id: int, now: datetime, rows: list[list]
) -> None:
    """Adds to raw.rejected_record: [file, line, line count, JSON path or None, reason, text]."""
    types = (pa.string(), pa.int32(), pa.int32(), pa.string(), pa.string(), pa.large_string())
    names = ["landing_file", "line_number", "line_count", "json_path", "reason", "record_text"]
    columns = zip(*rows, strict=True)
    table = pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names=names
    )
    connection.register("landing_rejected", table)
    connection.execute(
        f"insert into raw.rejected_record (load_id, {', '.join(names)}, rejected_at)"
        " select ?, *, ? from landing_rejected",
        [load_id, now],
    )
    connection.unregister("landing_rejected")


def waba_of(name: str) -> str | None:
    """The WABA that a landing file's folders name: `waba_id=<id>/`."""
    found = _WABA_FOLDER.search(name)
    return found[1] if found else None


class _Batch:
    """Accepted records on their way to DuckDB."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.name_index = array("i")
        self.line_numbers = array("i")
        self.received_at = array("q")
        self.bodies: list[bytes] = []
        self.size = 0  # bytes

    def is_full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.bodies) >= BATCH_ROWS

    def to_arrow(self) -> pa.RecordBatch:
        """The records as Arrow, without copying the numbers."""
        count = len(self.bodies)
        index = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(self.name_index)])
        bodies = pa.array(self.bodies, pa.large_binary())
        return pa.RecordBatch.from_arrays(
            [
                pa.array(self.names, pa.string()).take(index),
                pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(self.line_numbers)]),
                pa.Array.from_buffers(
                    pa.timestamp("us"), count, [None, pa.py_buffer(self.received_at)]
                ),
                # The bytes have been checked to be UTF-8.
                pa.Array.from_buffers(pa.large_string(), count, bodies.buffers()),
            ],
            schema=_WEBHOOKS,
        )


class _Reading:
    """One file being read: its new part goes to the load, `state` is what it comes to."""

    def __init__(self, load: _Load, file: LandingFile, known: _FileState | None) -> None:
        self.load = load
        self.file = file
        self.known = known
        self.hash = hashlib.sha256()  # of the part that is loaded
        self.prefix: list[bytes] = []  # the loaded part, kept where it may be read again
        self.state = _FileState(
            size_bytes=file.size_bytes,
            modified_at=file.modified_at,
            loaded_bytes=0,
            loaded_lines=0,
            content_hash=_EMPTY_HASH,
            record_count=0,
            rejected_count=0,
            empty_line_count=0,
            rejected_part_count=0,
            repaired_count=0,
            recovered_count=0,
            waiting_bytes=0,
            first_seen_at=known.first_seen_at if known else load.now_us,
            first_modified_at=known.first_modified_at if known else self._plausible_time(),
        )
        path = load.settings.body_path
        self.reader = RecordReader(
            fallback=self.state.first_modified_at,
            latest=load.latest_us,
            waba_id=waba_of(file.name),
            body_path=tuple(path.split(".")) if path else (),
        )

    def _plausible_time(self) -> int:
        """When the file was modified; now, where an archive tool or a clock set another age."""
        time = self.file.modified_at
        return time if EARLIEST <= time <= self.load.latest_us else self.load.now_us

    def read(self, content: Content) -> Iterator[pa.RecordBatch]:
        terminated = self._skip_loaded_part(content) if self.known else True
        # A document of which nothing but a rejection was loaded may have been half a document.
        if self.file.is_document and not self.state.record_count:
            yield from self._read_document(content)
        else:
            yield from self._read_lines(content, terminated)
        self.state.content_hash = self.hash.hexdigest()

    def _skip_loaded_part(self, content: Content) -> bool:
        """Makes sure that the loaded part is unchanged; False if it ends within a line."""
        known, state = self.known, self.state
        last = b"\n"
        size = 0
        for block in read_exactly(content, known.loaded_bytes):
            self.hash.update(block)
            size += len(block)
            last = block[-1:]
            if self.file.is_document and not known.record_count:
                self.prefix.append(block)
        if size < known.loaded_bytes:
            raise _ChangedFileError(
                f"it has become shorter than its loaded part of {known.loaded_bytes} bytes; "
                "bring new content as a new file"
            )
        if self.hash.hexdigest() != known.content_hash:
            raise _ChangedFileError(
                f"its first {known.loaded_bytes} bytes, loaded before, have changed; "
                "bring back the former content, and new content as a new file"
            )
        for name in (
            "loaded_bytes",
            "loaded_lines",
            "record_count",
            "rejected_count",
            "empty_line_count",
            "rejected_part_count",
            "repaired_count",
            "recovered_count",
        ):
            setattr(state, name, getattr(known, name))
        return last == b"\n"

    def _read_document(self, content: Content) -> Iterator[pa.RecordBatch]:
        """Reads a .json file as a whole: an object, an array of records, or lines after all."""
        known_size = size = self.state.loaded_bytes
        parts = self.prefix
        while block := content.read(BLOCK_BYTES):
            parts.append(block)
            size += len(block)
            if size > MAX_DOCUMENT_BYTES:
                raise UnreadableFileError(
                    f"as one JSON document it is larger than {MAX_DOCUMENT_BYTES >> 20} MiB; "
                    "turn it into lines (jq -c '.[]') in a file that ends in .jsonl"
                )
        document = b"".join(parts)
        parts.clear()
        text = document.removeprefix(BOM).strip(WHITESPACE)
        if not text or size == known_size:
            return
        if len(text) > MIN_VALUE_BYTES * MANY_VALUES and (
            text.count(b",") > len(text) // MIN_VALUE_BYTES
        ):
            raise UnreadableFileError(
                "as one JSON document it has too many tiny values; "
                "turn it into lines (jq -c '.[]') in a file that ends in .jsonl"
            )
        self.state.loaded_lines = self.state.empty_line_count = self.state.loaded_bytes = 0
        try:
            records = document_records(text)
        except (msgspec.DecodeError, RecursionError):
            if any(map(self._is_webhook, itertools.islice(_lines(document), FIRST_LINES))):
                self.hash = hashlib.sha256()
                yield from self._read_lines(io.BytesIO(document), True)
                return
            records = [text]
        self.hash = hashlib.sha256(document)
        self.state.loaded_bytes = size
        for start in range(0, len(records), BATCH_ROWS):
            yield from self._take_in(records[start : start + BATCH_ROWS])

    def _is_webhook(self, line: bytes) -> bool:
        try:
            self.reader.read(line.strip(WHITESPACE))
        except Rejection:
            return False
        return True

    def _read_lines(
        self, content: BinaryIO | Content, terminated: bool
    ) -> Iterator[pa.RecordBatch]:
        pending: list[bytes] = []  # of a line whose end is still to come
        size, rest = 0, b""
        while block := rest or content.read(BLOCK_BYTES):
            rest = b""
            cut = block.rfind(b"\n") + 1
            if cut:
                lines = b"".join([*pending, block[:cut]])
                if not terminated:
                    lines = self._close_line(lines)
                    terminated = True
                yield from self._take_lines(lines)
                pending, size = [], 0
            pending.append(block[cut:])
            size += len(block) - cut
            if size > MAX_LINE_BYTES:
                rest = self._skip_line(content, b"".join(pending))
                pending, size = [], 0
        tail = b"".join(pending)
        if terminated:
            yield from self._take_tail(tail)
        else:
            self._close_line(tail)

    def _skip_line(self, content: BinaryIO | Content, begun: bytes) -> bytes:
        """Rejects a line that is too long to be a webhook; returns what was read after it.

        Without its end it waits, as any other.
        """
        state, load = self.state, self.load
        hash_before, size, rest = self.hash.copy(), len(begun), b""
        self.hash.update(begun)
        while block := content.read(BLOCK_BYTES):
            line, newline, rest = block.partition(b"\n")
            self.hash.update(line + newline)
            size += len(line + newline)
            if newline:
                break
        else:
            self.hash = hash_before
            state.waiting_bytes = size
            return b""
        what = f"The line has {size} bytes, its first {KEPT_BYTES} are kept here"
        state.loaded_bytes += size
        state.loaded_lines += 1
        state.rejected_count += 1
        load.lines += 1
        reason = str(Rejection("too_large", what))
        load.reject(self.file.name, state.loaded_lines, reason, begun[:KEPT_BYTES])
        return rest

    def _close_line(self, lines: bytes) -> bytes:
        """Takes the end of a line off that was loaded without one; returns the lines after it."""
        end, newline, rest = lines.partition(b"\n")
        if end.strip(WHITESPACE):
            raise _ChangedFileError(
                "its last line had no end when it was loaded, and has grown since; "
                "bring new content as a new file"
            )
        if newline:
            self.hash.update(end + newline)
            self.state.loaded_bytes += len(end) + 1
        return rest

    def _take_lines(self, lines: bytes) -> Iterator[pa.RecordBatch]:
        """Takes in whole lines, each with its end."""
        if not lines:
            return
        self.hash.update(lines)
        if not self.state.loaded_bytes:
            self.state.loaded_bytes = len(lines)
            lines = lines.removeprefix(BOM)
        else:
            self.state.loaded_bytes += len(lines)
        records = lines.split(b"\n")
        records.pop()
        yield from self._take_in(records, _is_utf8(lines))

    def _take_tail(self, tail: bytes) -> Iterator[pa.RecordBatch]:
        """An unterminated last line waits: somebody may be writing it.

        An archive or a document is written as a whole: there it counts if it is a webhook.
        """
        whole = self.file.compression is not None or self.file.is_document
        if whole and self._is_webhook(tail.removeprefix(BOM)):
            self.hash.update(tail)
            self.state.loaded_bytes += len(tail)
            yield from self._take_in([tail.removeprefix(BOM)])
        elif tail.strip(WHITESPACE):
            self.state.waiting_bytes = len(tail)

    def _take_in(self, records: list[bytes], is_utf8: bool = False) -> Iterator[pa.RecordBatch]:
        load, state = self.load, self.state
        batch, name, read = load.batch, self.file.name, self.reader.read
        if load.forgotten:
            read = load.forgotten.reading(read)
        reasons: dict[bytes, Rejection] = {}
        batch.names.append(name)
        index = len(batch.names) - 1
        accepted = rejected = empty = left_out = repaired = repeats = 0
        last_rejected = None
        for line_number, raw_line in enumerate(records, state.loaded_lines + 1):
            if raw_line == last_rejected:
                repeats += 1
                continue
            if repeats:
                load.repeat_rejected(repeats)
                rejected += repeats
                repeats = 0
            last_rejected = None
            line = raw_line.strip(WHITESPACE)
            if not line:
                empty += 1
                continue
            try:
                if len(line) < SHORT_BYTES and line in reasons:
                    raise reasons[line]
                body, received_at, parts, repairs = read(line, is_utf8)
            except Rejection as rejection:
                if len(line) < SHORT_BYTES and len(reasons) < SHORT_LINES:
                    reasons[line] = rejection.with_traceback(None)
                rejected += 1
                load.reject(name, line_number, str(rejection), line)
                last_rejected = raw_line
                continue
            accepted += 1
            batch.bodies.append(body)
            batch.received_at.append(received_at)
            batch.line_numbers.append(line_number)
            batch.name_index.append(index)
            batch.size += len(body)
            if parts:
                left_out += len(parts)
                load.reject_parts(name, line_number, parts)
            repaired += repairs
        if repeats:
            load.repeat_rejected(repeats)
            rejected += repeats
        state.loaded_lines += len(records)
        state.record_count += accepted
        state.rejected_count += rejected
        state.empty_line_count += empty
        state.rejected_part_count += left_out
        state.repaired_count += repaired
        load.result.records += accepted
        load.result.empty_lines += empty
        load.result.repaired += repaired
        load.lines += len(records) - empty
        load.report()
        if batch.is_full():
            yield load.take_batch()


def document_records(text: bytes) -> list[bytes]:
    if text.startswith(b"["):
        return [bytes(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    msgspec.json.decode(text, type=msgspec.Raw)
    return [text]


def _lines(text: bytes) -> Iterator[bytes]:
    return iter(io.BytesIO(text))


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    # Arrow checks several times faster than bytes.decode, which also makes a copy.
    ends = pa.py_buffer(array("q", [0, len(text)]))
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(text)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
