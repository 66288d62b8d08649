"""What publishing remembers for ever: every key it ever published, and what each publish changed.

Each version in PUBLISH_DIR has the whole ledger in a file of its own, and a copy within its published file. Keys keep
leading somewhere (R10) and the gate has something to compare with (R12) also after the warehouse or a file is lost.
"""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb

from orchestration.landing.forgotten import ERASED, erasures
from orchestration.settings import Settings, UserError
from orchestration.versions import (
    DATABASE,
    LEDGER,
    current_version,
    kept_versions,
)
from orchestration.warehouse import open_warehouse

TABLES = {
    # last_publish_id: of the newest publish that still had a customer under this key; waba_id: null for keys made before
    # it was part of them
    "published_key": """
        customer_key varchar not null,
        received_at timestamp not null,
        event_id varchar not null,
        identifier varchar not null,
        first_published_at timestamp,
        publish_id varchar,
        last_publish_id varchar,
        waba_id varchar
    """,
    # change: merged, split, rekeyed, vanished or forced
    "identity_change_log": """
        publish_id varchar not null,
        published_at timestamp not null,
        change varchar not null,
        portfolio_id varchar,
        customer_key varchar,
        former_customer_key varchar,
        link_rule varchar,
        evidence_event_id varchar,
        detail varchar
    """,
    "publication": """
        publish_id varchar not null,
        published_at timestamp not null,
        as_of timestamp,
        is_forced boolean not null,
        customer_count bigint not null,
        message_count bigint not null,
        assigned_message_count bigint not null,
        largest_customer_message_count bigint not null
    """,
}
# Where a published file holds its copy.
COPIES = {
    "published_key": "gate.published_key",
    "identity_change_log": "marts.identity_change_log",
    "publication": "gate.publication",
}

log = logging.getLogger(__name__)


def quoted(text: object) -> str:
    """A text or path as an SQL literal, for statements that take no parameters (ATTACH, COPY, COMMENT)."""
    return "'" + str(text).replace("'", "''") + "'"


def ledger_path(settings: Settings) -> Path:
    """The ledger of what is published now; it may be missing."""
    return current_version(settings) / LEDGER


def read_ledger(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Bring the ledger's tables into temporary tables `former_<table>`; they are empty before the first publish.

    Of who was forgotten only the keys are left. A lost ledger is read from the newest copy, which is said. Raises
    UserError when the file is damaged, or when something is published and no copy is left, unless FORCE is set.
    """
    read_newest(connection, settings)
    keys = [key for erasure in erasures(settings) for key in erasure.customer_keys]
    if keys:
        connection.execute(
            f"update former_published_key set identifier = '{ERASED}', event_id = '{ERASED}' "
            "where list_contains(?, customer_key)",
            [keys],
        )
        connection.execute(
            "update former_identity_change_log set detail = null, evidence_event_id = null "
            "where list_contains($1, customer_key) or list_contains($1, former_customer_key)",
            [keys],
        )


def read_newest(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    for name, columns in TABLES.items():
        connection.execute(f"create or replace temp table former_{name} ({columns})")
    path = ledger_path(settings)
    published = current_version(settings) / DATABASE
    copies = [published]
    for version in kept_versions(settings):
        copies += [version / LEDGER, version / DATABASE]
    if path.exists():
        copy_tables(connection, path)
        return
    for copy in copies:
        if copy.exists():
            try:
                copy_tables(connection, copy)
            except LedgerError:
                continue
            log.warning("The ledger %s is lost: its copy in %s takes its place.", path, copy)
            return
    if any(copy.exists() for copy in copies) and not settings.force:
        raise LedgerError(
            f"The ledger of published keys, {path}, is lost and no copy of it is left: put a backup there, or set "
            "FORCE=1 to begin a new one, which knows no key that is no customer's today."
        )


class LedgerError(UserError):
    """The ledger cannot be used."""


def copy_tables(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Read a ledger, or a published file's copy of one. Raises LedgerError."""
    try:
        connection.execute(f"attach {quoted(file)} as ledger (read_only)")
        try:
            columns = connection.execute(
                "select column_name from duckdb_columns() "
                "where database_name = 'ledger' and table_name = 'published_key'"
            ).fetchall()
            if file.name == LEDGER and columns and ("last_publish_id",) not in columns:
                connection.execute(FORMER_LAYOUT)
                return
            for name, copy in COPIES.items():
                table = name if file.name == LEDGER else copy
                connection.execute(f"insert into former_{name} by name from ledger.{table}")
        finally:
            connection.execute("detach ledger")
    except duckdb.Error as error:
        raise LedgerError(
            f"The ledger {file} cannot be read ({first_line(error)}): close what holds it, or, if it is damaged, move "
            "it away; the next run then takes its copy."
        ) from error


# Ledgers of version 0.1 did not say when a key was last published: not since it merged or moved, else last time.
FORMER_LAYOUT = """
insert into former_identity_change_log by name from ledger.identity_change_log;
insert into former_published_key by name
select
    published_key.*,
    case
        when published_key.customer_key in (
            select former_customer_key from ledger.identity_change_log
            where former_customer_key <> customer_key and change in ('merged', 'rekeyed')
        ) then published_key.publish_id
        else last_publish.publish_id
    end as last_publish_id
from ledger.published_key
cross join (
    select max(publish_id) as publish_id
    from (select publish_id from ledger.published_key union all select publish_id from ledger.identity_change_log)
) as last_publish
"""


def write_ledger(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Write the ledger of a version from the copy in its published file, attached as `fresh`."""
    connection.execute(f"attach {quoted(file)} as ledger")
    for name, columns in TABLES.items():
        connection.execute(f"create table ledger.{name} ({columns})")
        connection.execute(f"insert into ledger.{name} by name from fresh.{COPIES[name]}")
    connection.execute("checkpoint ledger")
    connection.execute("detach ledger")


def first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def copy_keys_to_warehouse(settings: Settings) -> int:
    """Bring raw.published_key up to the ledger; returns how many keys it holds. Raises UserError."""
    with open_warehouse(settings) as connection:
        read_ledger(connection, settings)
        connection.execute(
            """
            insert into raw.published_key
            select customer_key, received_at, event_id, identifier, waba_id from former_published_key
            on conflict do update set event_id = excluded.event_id, identifier = excluded.identifier
            where excluded.identifier = ?
            """,
            [ERASED],
        )
        return connection.execute("select count(*) from raw.published_key").fetchone()[0]
