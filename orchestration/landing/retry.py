"""Reading rejected records again: after an upgrade some of them may be webhooks."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import duckdb

from orchestration.landing.forgotten import read_forgotten
from orchestration.landing.load import CLOCK_TOLERANCE, LandingError, waba_of, write_rejected
from orchestration.landing.records import RecordReader, Rejection, merge_bodies
from orchestration.settings import Settings

_ESCAPED_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
FETCHED_ROWS = 1_000


@dataclass(slots=True)
class RetryResult:
    """What reading the rejected records again did."""

    records: int = 0  # whole records that are loaded now
    parts: int = 0  # parts of records that are loaded now
    rejected: int = 0  # rows that stay in raw.rejected_record


def retry_rejected(
    connection: duckdb.DuckDBPyConnection, settings: Settings, *, now: datetime | None = None
) -> RetryResult:
    """Loads what is readable by now of raw.rejected_record, each of it once, and takes it out there.

    One transaction, and a load of its own: the next run resolves it as it does new webhooks. The
    parts of one record are one webhook. `now` is in UTC. Raises LandingError.
    """
    now = now or datetime.now(UTC).replace(tzinfo=None)
    connection.execute("begin")
    try:
        result = _Retry(connection, settings, now).run()
        connection.execute("commit")
    except BaseException as error:
        with suppress(duckdb.Error):  # the first error is the one to tell
            connection.execute("rollback")
        if isinstance(error, duckdb.Error):
            raise LandingError(
                f"The warehouse could not take the records in, nothing was loaded: {error}"
            ) from error
        raise
    return result


class _Retry:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
    ) -> None:
        self.connection = connection
        self.now = now
        self.forgotten = read_forgotten(settings)
        path = settings.body_path
        self.body_path = tuple(path.split(".")) if path else ()
        self.result = RetryResult()
        (self.load_id,) = connection.execute(
            "select coalesce(max(load_id), 0) + 1 from raw.load"
        ).fetchone()

    def run(self) -> RetryResult:
        # Its own cursor: it reads what was there before, while this transaction changes it.
        cursor = self.connection.cursor()
        cursor.execute(
            """
            select rejected.rowid, rejected.landing_file, line_number, line_count, json_path, reason,
                record_text, epoch_us(first_modified_at)
            from raw.rejected_record as rejected
            left join raw.landing_file using (landing_file)
            order by rejected.landing_file, line_number, rejected.rowid
            """
        )
        for (name, line_number), rows in groupby(_rows(cursor), key=lambda row: row[1:3]):
            self._retry_line(name, line_number, list(rows))
        cursor.close()
        if self.result.records or self.result.parts:
            self.connection.execute(
                "insert into raw.load by name select ? as load_id, ? as started_at, ? as finished_at,"
                " 0 as files, ? as records, 0 as rejected, 0 as bytes",
                [self.load_id, self.now, self.now, self.result.records + self.result.parts],
            )
        return self.result

    def _retry_line(self, name: str, line_number: int, rows: list[tuple]) -> None:
        bodies, times, done, left = [], [], [], []
        repaired = whole = 0
        for rowid, _, _, line_count, path, reason, text, modified_at in rows:
            latest = self.now + CLOCK_TOLERANCE
            reader = RecordReader(
                fallback=modified_at or _microseconds(self.now),
                latest=_microseconds(latest),
                waba_id=waba_of(name),
                body_path=self.body_path,
            )
            read = self.forgotten.reading(reader.read) if self.forgotten else reader.read
            record = text.encode()
            if reason.startswith("bad_encoding:"):  # as it was before strings were repaired
                record = _ESCAPED_BYTE.sub(lambda byte: bytes.fromhex(byte[1].decode()), record)
            try:
                # its readable part is loaded already, or nothing is left of it
                if reason.startswith(("duplicate_key:", "forgotten:")):
                    raise Rejection("duplicate_key", "")
                body, received_at, parts, repairs = read(record)
            except Rejection:
                self.result.rejected += 1
                continue
            bodies.append(body)
            times.append(received_at)
            done.append(rowid)
            left += parts
            repaired += repairs
            if path is None:
                whole = line_count
        if not bodies:
            return
        # Equal lines were one row.
        self.connection.execute(
            "insert into raw.webhook by name select ? as load_id, ? as landing_file,"
            " ? + range as line_number, make_timestamp(?) as received_at, ? as body, ? as loaded_at"
            " from range(?)",
            [
                self.load_id,
                name,
                line_number,
                max(times),
                merge_bodies(bodies).decode(),
                self.now,
                whole or 1,
            ],
        )
        self.connection.execute(
            "delete from raw.rejected_record where rowid in (select unnest(?))", [done]
        )
        repeats = range(line_number, line_number + (whole or 1))
        rejected = [
            [name, number, 1, part.json_path, part.reason, part.record.decode()]
            for number in repeats
            for part in left
        ]
        if rejected:
            write_rejected(self.connection, self.load_id, self.now, rejected)
            self.result.rejected += len(rejected)
        recovered = 0 if whole else len(done)
        self.result.records += whole
        self.result.parts += recovered
        self.connection.execute(
            """
            update raw.landing_file set
                record_count = record_count + $whole,
                rejected_count = rejected_count - $whole,
                rejected_part_count = rejected_part_count - $recovered + $rejected,
                recovered_count = recovered_count + $webhooks,
                repaired_count = repaired_count + $repaired
            where landing_file = $name
            """,
            {
                "whole": whole,
                "recovered": recovered,
                "rejected": len(rejected),
                "webhooks": 0 if whole else 1,
                "repaired": repaired,
                "name": name,
            },
        )


def _rows(cursor: duckdb.DuckDBPyConnection):
    while rows := cursor.fetchmany(FETCHED_ROWS):
        yield from rows


def _microseconds(time: datetime) -> int:
    return round(time.replace(tzinfo=UTC).timestamp() * 1_000_000)
