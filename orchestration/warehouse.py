"""The warehouse file: opening it, the tables of its raw schema, and what can be wrong with it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.settings import Settings, UserError

# Raised by one whenever DDL changes in a way that older code cannot read or write.
WAREHOUSE_VERSION = 2

DDL = [
    "create schema if not exists raw",
    """
    create table if not exists raw.warehouse_version (
        version integer not null,
        created_at timestamp not null
    )
    """,
    # One row per run of the landing.
    """
    create table if not exists raw.load (
        load_id bigint primary key,
        started_at timestamp not null,
        finished_at timestamp not null,
        files integer not null,         -- files that brought at least one line
        records bigint not null,
        rejected bigint not null,
        bytes bigint not null           -- decompressed bytes of the lines taken in
    )
    """,
    # One row per file ever taken in, as of its last load.
    """
    create table if not exists raw.landing_file (
        landing_file varchar primary key,       -- path below LANDING_DIR, with forward slashes
        size_bytes bigint not null,             -- as stored on disk
        modified_at timestamp not null,
        loaded_bytes bigint not null,           -- of the decompressed content
        loaded_lines bigint not null,           -- empty ones included
        content_hash varchar not null,          -- SHA-256 of the loaded bytes
        record_count bigint not null,
        rejected_count bigint not null,         -- whole records
        empty_line_count bigint not null,
        waiting_bytes bigint not null,          -- of an unterminated last line, not loaded yet
        first_seen_at timestamp not null,
        first_modified_at timestamp not null,
        last_load_id bigint not null,
        last_loaded_at timestamp not null
    )
    """,
    "alter table raw.landing_file add column if not exists rejected_part_count bigint default 0",
    "alter table raw.landing_file add column if not exists repaired_count bigint default 0",
    # Webhooks made of parts that could not be read at first.
    "alter table raw.landing_file add column if not exists recovered_count bigint default 0",
    # The folder that landing_file is below; one row.
    "create table if not exists raw.landing_folder (landing_folder varchar not null)",
    """
    create table if not exists raw.webhook (
        load_id bigint not null,
        landing_file varchar not null,
        line_number integer not null,           -- of the line, or of the item in a JSON array
        received_at timestamp not null,         -- UTC
        -- the text of the webhook body, unchanged unless a part of it was left out or several bodies
        -- came in one record; zstd makes a tenth of it, the default two thirds
        body varchar not null using compression zstd,
        loaded_at timestamp not null
    )
    """,
    """
    create table if not exists raw.rejected_record (
        load_id bigint not null,
        landing_file varchar not null,
        line_number integer not null,
        reason varchar not null,                -- code, colon, text: 'bad_json: ...'
        record_text varchar not null,           -- bytes that are not UTF-8 as \\xNN
        rejected_at timestamp not null
    )
    """,
    # Of a part of a record that is loaded otherwise; null for a whole record.
    "alter table raw.rejected_record add column if not exists json_path varchar",
    # This line and so many less one after it are equal.
    "alter table raw.rejected_record add column if not exists line_count integer default 1",
    # The keys ever published (R10), as the ledger in PUBLISH_DIR remembers them.
    """
    create table if not exists raw.published_key (
        customer_key varchar primary key,
        received_at timestamp not null,
        event_id varchar not null,
        identifier varchar not null,
        waba_id varchar                         -- null for keys made before it was part of them
    )
    """,
    "alter table raw.published_key add column if not exists waba_id varchar",
    # At most one row, of the last run that built everything and passed every check (orchestration/mode.py).
    """
    create table if not exists main.complete_run (
        digest varchar,                         -- JSON, what decided about its rows; null since dbt ran again
        load_id bigint not null,                -- the newest load that it worked out
        is_rebuilt boolean not null,
        completed_at timestamp not null,
        added_to timestamp                      -- completed_at of the run that it added to; null: it rebuilt
    )
    """,
    "alter table main.complete_run add column if not exists added_to timestamp",
]


# A database of DuckDB begins with three blocks, before any that holds something.
HEADERS_BYTES = 3 * 4096


class WarehouseError(UserError):
    """The warehouse file cannot be used."""


@contextmanager
def open_warehouse(
    settings: Settings, *, read_only: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse, closed at the end; its clock functions speak UTC.

    Opened for writing, the file, its folders and the raw tables are created where missing.
    Read-only, the file must be there. Raises WarehouseError.
    """
    connection = _connect(settings, read_only)
    try:
        try:
            connection.execute("set TimeZone = 'UTC'")
            _check_version(connection, settings.warehouse_path)
            if not read_only:
                _create_tables(connection)
        except duckdb.Error as error:
            raise _explained(error, settings.warehouse_path) from error
        yield connection
    finally:
        connection.close()


def _connect(settings: Settings, read_only: bool) -> duckdb.DuckDBPyConnection:
    path = settings.warehouse_path
    if path.is_dir():
        raise WarehouseError(
            f"WAREHOUSE_PATH={path} is a directory: name a file in it, such as "
            f"{path / 'warehouse.duckdb'}."
        )
    if read_only and (not path.exists() or was_never_written(path)):
        raise WarehouseError(f"There is no warehouse at {path} yet: load webhooks first.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(
            f"The folder of WAREHOUSE_PATH={path} cannot be created ({error.strerror}): "
            "choose a path that you may write to."
        ) from error
    if path.exists() and was_never_written(path):
        path.unlink()
    try:
        return duckdb.connect(
            str(path),
            read_only=read_only,
            config={
                "threads": settings.duckdb_threads,
                "memory_limit": settings.duckdb_memory_limit,
                # Rows of raw carry file and line: nobody relies on their order in the file.
                "preserve_insertion_order": False,
                # A new file is of the newest form: smaller than one that all versions can read.
                "storage_compatibility_version": "latest",
            },
        )
    except duckdb.Error as error:
        raise _explained(error, path) from error


def was_never_written(path: Path) -> bool:
    """Whether this is what a full disk leaves of a new warehouse: a part of DuckDB's headers, or nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADERS_BYTES)
    except OSError:
        return False
    return len(head) < HEADERS_BYTES and (not head or head[8:12] == b"DUCK")


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    known = connection.execute(
        "select 1 from information_schema.tables"
        " where table_schema = 'raw' and table_name = 'warehouse_version'"
    ).fetchone()
    if not known:
        return
    (version,) = connection.execute("select max(version) from raw.warehouse_version").fetchone()
    if version is not None and version > WAREHOUSE_VERSION:
        raise WarehouseError(
            f"The warehouse {path} was written by a newer version of this project (its format is "
            f"{version}, this one knows {WAREHOUSE_VERSION}): update the project, or set "
            "WAREHOUSE_PATH to another file."
        )


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("begin")
    for statement in DDL:
        connection.execute(statement)
    connection.execute(
        "insert into raw.warehouse_version select $1, now()::timestamp"
        " where not exists (from raw.warehouse_version where version >= $1)",
        [WAREHOUSE_VERSION],
    )
    connection.execute("commit")


def _explained(error: duckdb.Error, path: Path) -> WarehouseError:
    """The same error as one sentence that names the file and the cure."""
    text = str(error)
    if "lock" in text and "set lock" in text:
        holder = re.search(r"PID (\d+)", text)
        who = f" (process {holder[1]})" if holder else ""
        return WarehouseError(
            f"The warehouse {path} is open in another program{who}: "
            "wait until it has finished or close it, then run again."
        )
    if isinstance(error, duckdb.ConnectionException) and "configuration" in text:
        return WarehouseError(
            f"The warehouse {path} is already open in this program with other settings: "
            "close that connection first."
        )
    if "not a valid DuckDB database file" in text:
        return WarehouseError(
            f"The file {path} is not a DuckDB database: set WAREHOUSE_PATH to another file, "
            "or move this one away."
        )
    if "version number" in text or "newer version of DuckDB" in text:
        return WarehouseError(
            f"The warehouse {path} was written by a newer version of DuckDB than "
            f"{duckdb.__version__}: update the project, or set WAREHOUSE_PATH to another file."
        )
    if "Permission denied" in text or "Read-only file system" in text or "read-only" in text:
        return WarehouseError(
            f"The warehouse {path} cannot be written: give yourself write access to the file and "
            "its folder, or set WAREHOUSE_PATH to another file."
        )
    if "No space left" in text:
        return WarehouseError(
            f"There is no space left for the warehouse {path}: make room, then run again."
        )
    return WarehouseError(
        f"The warehouse {path} cannot be read and may be damaged: restore a copy, or move it away "
        f"and load all webhooks again (DuckDB says: {text.splitlines()[0]})."
    )
