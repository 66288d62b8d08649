"""The marts as readers see them: one DuckDB file and Parquet, swapped in whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.gate import CHANGES, Verdict, compare
from orchestration.ledger import ledger_path, open_ledger
from orchestration.settings import Settings, UserError

DATABASE = "customers.duckdb"
PARQUET = "parquet"

# Who held this identifier then: `from marts.customer_at('<portfolio>', 'phone', '5511...', '2026-05-01')`
CUSTOMER_AT = """
create or replace macro marts.customer_at(portfolio, kind, identifier, moment) as table
select
    customer_key,
    valid_from,
    valid_to,
    link_rule,
    evidence_tier,
    evidence_event_id
from marts.dim_customer_identifier
where portfolio_id = portfolio
    and identifier_type = kind
    and identifier_value = identifier
    and valid_from <= moment::timestamp
    and (valid_to is null or valid_to > moment::timestamp)
"""


class GateClosed(UserError):
    """Publishing would change too many customers at once."""


@dataclass
class Publication:
    """What was published: rows per table, the verdict of the gate, seconds it took."""

    publish_id: str
    path: Path
    rows: dict[str, int]
    verdict: Verdict
    seconds: float


def published_path(settings: Settings) -> Path:
    return settings.publish_dir / DATABASE


def attach(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A connection with the warehouse and, if there is one, the published file, read-only."""
    connection = duckdb.connect(
        config={
            "threads": settings.duckdb_threads,
            "memory_limit": settings.duckdb_memory_limit,
            "temp_directory": f"{settings.warehouse_path}.tmp",
        }
    )
    connection.execute("set TimeZone = 'UTC'")
    try:
        connection.execute(f"attach '{settings.warehouse_path}' as warehouse (read_only)")
        if published_path(settings).exists():
            connection.execute(f"attach '{published_path(settings)}' as published (read_only)")
    except duckdb.Error as error:
        connection.close()
        raise UserError(
            f"{settings.warehouse_path} or {published_path(settings)} cannot be read "
            f"({str(error).splitlines()[0]}): close what holds it, or move a damaged file away."
        ) from error
    return connection


def check_gate(settings: Settings) -> Verdict:
    """R12: what publishing now would change, judged by the thresholds of the settings."""
    connection = attach(settings)
    try:
        return compare(connection, settings)
    finally:
        connection.close()


def require_complete(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises UserError unless the last run built all models and passed all tests: FORCE overrules the gate, not this."""
    try:
        rows = connection.execute(
            "from warehouse.main.complete_run where digest is not null"
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    if not rows:
        raise UserError(
            "The warehouse is not complete: its last run was stopped, failed a test or built only some models. "
            "Nothing was published; run `make run` first."
        )


def marts(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables to publish: all of the warehouse's schema marts."""
    rows = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'marts' order by all"
    ).fetchall()
    return [name for (name,) in rows]


def publish(settings: Settings) -> Publication:
    """Write the marts to PUBLISH_DIR and swap them in. Raises GateClosed unless FORCE is set.

    Everything is written under temporary names first; readers see the former version until one
    rename shows them the new one, and keep what they have open. A kill leaves the former version.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    publish_id = started.strftime("%Y%m%dT%H%M%S%f")
    folder = settings.publish_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"PUBLISH_DIR={folder} cannot be created ({error.strerror}): choose a folder that you "
            "may write to."
        ) from error
    remove_leftovers(folder)
    connection = attach(settings)
    try:
        require_complete(connection)
        verdict = compare(connection, settings)
        if verdict.reasons and not settings.force:
            raise GateClosed(
                "Nothing was published, yesterday's customers stay: "
                + "; ".join(verdict.reasons)
                + ". Look at the changes (worst first: "
                + ", ".join(f"{change} {key}" for change, _, key, _ in verdict.worst)
                + "), then run `make publish FORCE=1`."
            )
        database, parquet = folder / f".{publish_id}.duckdb", folder / f".{PARQUET}-{publish_id}"
        rows = write(connection, database, parquet, publish_id, started, verdict, settings)
    finally:
        connection.close()
    remember(settings, publish_id, started, verdict)
    sync(database)
    os.replace(database, published_path(settings))
    swap_link(folder / PARQUET, parquet)
    seconds = (datetime.now(UTC).replace(tzinfo=None) - started).total_seconds()
    return Publication(publish_id, published_path(settings), rows, verdict, seconds)


def remove_leftovers(folder: Path) -> None:
    """What a killed publish wrote and never showed."""
    current = (folder / PARQUET).resolve() if (folder / PARQUET).is_symlink() else None
    for path in folder.glob(".*"):
        if path.is_dir() and path.name.startswith(f".{PARQUET}-") and path.resolve() != current:
            shutil.rmtree(path)
        elif path.is_file() and ".duckdb" in path.name:
            path.unlink()


def write(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    parquet: Path,
    publish_id: str,
    published_at: datetime,
    verdict: Verdict,
    settings: Settings,
) -> dict[str, int]:
    """Write the new version; returns rows per table."""
    # small row groups: who looks one customer up reads 8192 rows of a large table, not 122880
    connection.execute(f"attach '{database}' as fresh (row_group_size 8192)")
    connection.execute("create schema fresh.marts; create schema fresh.gate")
    parquet.mkdir()
    rows = {}
    columns = connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = 'warehouse' "
        "and schema_name = 'marts'"
    ).fetchall()
    for name in marts(connection):
        # what is looked up by a column lies together: who asks reads one row group, not the table
        sorted_by = [c for c in ("identifier_value", "customer_key") if (name, c) in columns]
        order = f"order by {sorted_by[0]}" if sorted_by else ""
        connection.execute(
            f"create table fresh.marts.{name} as from warehouse.marts.{name} {order}"
        )
        connection.execute(
            f"copy fresh.marts.{name} to '{parquet / name}.parquet' (format parquet, compression zstd)"
        )
        rows[name] = connection.execute(f"select count(*) from fresh.marts.{name}").fetchone()[0]
    for table, column, comment in connection.execute(
        "select table_name, column_name, comment from duckdb_columns() where database_name = 'warehouse' "
        "and schema_name = 'marts' and comment is not null"
    ).fetchall():
        text = comment.replace("'", "''")
        connection.execute(f"comment on column fresh.marts.{table}.{column} is '{text}'")
    connection.execute(
        """
        create table fresh.gate.customer_node as
        select portfolio_id, node_id, customer_key
        from warehouse.intermediate.int_customer__node
        order by customer_key
        """
    )
    connection.execute(
        """
        create table fresh.marts.publication as
        select ? as publish_id, ?::timestamp as published_at,
            (select as_of from warehouse.intermediate.int_identity__as_of) as as_of, ? as is_forced
        """,
        [publish_id, published_at, bool(verdict.reasons and settings.force)],
    )
    write_change_log(connection, settings, publish_id, published_at, verdict)
    for name in ("identity_change_log", "publication"):
        connection.execute(
            f"copy fresh.marts.{name} to '{parquet / name}.parquet' (format parquet, compression zstd)"
        )
    connection.execute("use fresh")
    connection.execute(CUSTOMER_AT)
    connection.execute("use memory")
    connection.execute("checkpoint fresh")
    connection.execute("detach fresh")
    return rows


CHANGE_LOG = """
select
    ? as publish_id,
    ?::timestamp as published_at,
    changes.change,
    changes.portfolio_id,
    changes.customer_key,
    changes.former_customer_key,
    newest_link.link_rule,
    newest_link.evidence_event_id,
    newest_link.link_detail as detail
from ({changes}) as changes
left join (
    select
        customer_key,
        arg_max(link_rule, (linked_at, evidence_event_id)) as link_rule,
        arg_max(evidence_event_id, (linked_at, evidence_event_id)) as evidence_event_id,
        arg_max(link_detail, (linked_at, evidence_event_id)) as link_detail
    from warehouse.marts.identity_link
    group by customer_key
) as newest_link using (customer_key)
"""


def write_change_log(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    publish_id: str,
    published_at: datetime,
    verdict: Verdict,
) -> None:
    """The change log of all publishes so far, and of this one."""
    with open_ledger(settings):
        pass
    connection.execute(f"attach '{ledger_path(settings)}' as ledger (read_only)")
    connection.execute(
        "create table fresh.marts.identity_change_log as from ledger.identity_change_log"
    )
    connection.execute("detach ledger")
    if not verdict.is_first:
        connection.execute(
            "insert into fresh.marts.identity_change_log " + CHANGE_LOG.format(changes=CHANGES),
            [publish_id, published_at],
        )
    if verdict.reasons:
        connection.execute(
            "insert into fresh.marts.identity_change_log (publish_id, published_at, change, detail) "
            "values (?, ?, 'forced', ?)",
            [publish_id, published_at, "; ".join(verdict.reasons)],
        )


def remember(settings: Settings, publish_id: str, published_at: datetime, verdict: Verdict) -> None:
    """Append this publish's keys and changes to the ledger, before readers can see a key."""
    fresh = settings.publish_dir / f".{publish_id}.duckdb"
    with open_ledger(settings) as ledger:
        ledger.execute(f"attach '{settings.warehouse_path}' as warehouse (read_only)")
        ledger.execute(f"attach '{fresh}' as fresh (read_only)")
        ledger.execute("begin")
        ledger.execute(
            """
            insert or ignore into published_key
            select distinct on (customer_key)
                customer_key, key_received_at, key_event_id, key_identifier, ?, ?, key_waba_id
            from warehouse.intermediate.int_customer__node
            """,
            [published_at, publish_id],
        )
        ledger.execute(
            """
            insert into identity_change_log
            select publish_id, published_at, change, portfolio_id, customer_key,
                former_customer_key, link_rule, evidence_event_id, detail
            from fresh.marts.identity_change_log where publish_id = ?
            """,
            [publish_id],
        )
        ledger.execute("commit")
        ledger.execute("detach fresh")
        ledger.execute("detach warehouse")


def sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def swap_link(link: Path, folder: Path) -> None:
    """Point the link at a folder in one step, and remove the folder it pointed at."""
    former = link.resolve() if link.is_symlink() else None
    temporary = link.with_name(f".{link.name}-link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    os.replace(temporary, link)
    if former and former.exists() and former != folder.resolve():
        shutil.rmtree(former)
