"""The marts as readers see them: one DuckDB file, Parquet and the ledger, swapped in whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import phonenumbers

from orchestration import continued
from orchestration.gate import CHANGES, LARGEST, Verdict, compare
from orchestration.landing.forgotten import secret_key
from orchestration.ledger import TABLES, first_line, quoted, read_ledger, write_ledger
from orchestration.masked import write_masked
from orchestration.settings import Settings, UserError, cure_of
from orchestration.texts import write_texts
from orchestration.versions import (
    DATABASE,
    LEDGER,
    MASKED,
    PARQUET,
    TEXT,
    claimed,
    commit,
    current_version,
    new_version,
    published_path,
    remove_leftovers,
    version_id,
)

FUNCTIONS = Path(__file__).with_name("published.sql")


class GateClosed(UserError):
    """Publishing would change too many customers at once: `verdict` tells which."""

    def __init__(self, text: str, verdict: Verdict) -> None:
        super().__init__(text)
        self.verdict = verdict


@dataclass
class Publication:
    """What was published: rows per table, the verdict of the gate, seconds it took."""

    publish_id: str
    path: Path
    rows: dict[str, int]
    verdict: Verdict
    seconds: float


@contextmanager
def attached(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the warehouse and, if there is one, the published file, read-only, and the ledger's tables."""
    connection = duckdb.connect(
        config={
            "threads": settings.duckdb_threads,
            "memory_limit": settings.duckdb_memory_limit,
            "temp_directory": f"{settings.warehouse_path}.tmp",
        }
    )
    try:
        connection.execute("set TimeZone = 'UTC'")
        if not settings.warehouse_path.exists():
            raise UserError(
                f"There is no warehouse at {settings.warehouse_path} yet: run `make run` first."
            )
        try:
            connection.execute(f"attach {quoted(settings.warehouse_path)} as warehouse (read_only)")
        except duckdb.Error as error:
            raise UserError(
                f"The warehouse {settings.warehouse_path} cannot be read ({first_line(error)}): close what holds it, "
                "or, if it is damaged, move it away and run again."
            ) from error
        read_ledger(connection, settings)
        attach_published(connection, current_version(settings) / DATABASE)
        yield connection
    finally:
        connection.close()


def attach_published(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Attach what is published now, if there is anything. Raises UserError when it cannot be compared with."""
    if not database.exists():
        return
    try:
        connection.execute(f"attach {quoted(database)} as published (read_only)")
        for table in ("marts.dim_customer", "marts.fct_message", "gate.customer_node"):
            connection.execute(f"from published.{table} limit 0")
    except duckdb.Error as error:
        raise UserError(
            f"The published file {database} cannot be read ({first_line(error)}): close what holds it, or, if it is "
            "damaged, move it away; the gate then compares with the ledger."
        ) from error


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
    """Write a version of the marts and the ledger, and show it. Raises GateClosed unless FORCE is set, and UserError.

    Readers see the former version until one rename shows them the new one, and keep what they have open.
    A kill or a fault at any moment leaves the former version, and the next publish completes.
    """
    try:
        with claimed(settings):
            return _publish(settings)
    except (
        OSError,
        duckdb.IOException,
        duckdb.OutOfMemoryException,
        duckdb.FatalException,
    ) as error:
        text = first_line(error)
        cure = cure_of(text) or "look at the disk"
        raise UserError(
            f"Nothing was published, what is published stays: writing to PUBLISH_DIR={settings.publish_dir} failed "
            f"({text}); {cure}, then publish again."
        ) from error


def _publish(settings: Settings) -> Publication:
    started = datetime.now(UTC).replace(tzinfo=None)
    publish_id = version_id(started)
    with attached(settings) as connection:
        require_complete(connection)
        verdict = compare(connection, settings)
        if verdict.reasons and not settings.force:
            raise GateClosed(
                "Nothing was published, yesterday's customers stay: "
                + "; ".join(verdict.reasons)
                + ". Look at the changes"
                + (" (such as " if verdict.examples else "")
                + ", ".join(f"{change} {key}" for change, key in verdict.examples)
                + (")" if verdict.examples else "")
                + ", then run `make publish FORCE=1`.",
                verdict,
            )
        version = new_version(settings, publish_id)
        secret = secret_key(settings, make=True) if settings.publish_masked else None
        rows = write(connection, settings, version, publish_id, started, verdict, secret)
        if settings.publish_text:
            write_texts(connection, version / TEXT, started, settings.retention_days)
    commit(settings, version)
    remove_leftovers(settings)
    seconds = (datetime.now(UTC).replace(tzinfo=None) - started).total_seconds()
    return Publication(publish_id, published_path(settings), rows, verdict, seconds)


def write(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    version: Path,
    publish_id: str,
    published_at: datetime,
    verdict: Verdict,
    secret: bytes | None,
) -> dict[str, int]:
    """Write the files of a version, the masked one where there is a secret for it; returns rows per mart."""
    out_of_order = continued.out_of_order(connection)
    if out_of_order is not None:
        continued.begin_with(current_version(settings) / DATABASE, version / DATABASE)
    # small row groups: who looks one customer up reads 16384 rows of a large table, not 122880
    connection.execute(f"attach {quoted(version / DATABASE)} as fresh (row_group_size 16384)")
    # in one transaction: each would wait for the disk else
    connection.execute("begin")
    for schema in ("marts", "gate", "lookup"):
        connection.execute(f"create schema if not exists fresh.{schema}")
    if out_of_order is not None and not continued.carry_on(connection):
        out_of_order = None
    rows = {
        name: write_mart(connection, name, name == continued.TABLE and out_of_order is not None)
        for name in marts(connection)
    }
    connection.execute(
        """
        create table fresh.gate.made_from as
        select completed_at, ?::bigint as out_of_order from warehouse.main.complete_run
        """,
        [out_of_order or 0],
    )
    connection.execute(
        """
        create table fresh.gate.customer_node as
        select portfolio_id, node_id, customer_key
        from warehouse.intermediate.int_identity__resolved_node
        order by customer_key
        """
    )
    write_memory(connection, publish_id, published_at, verdict)
    write_calling_codes(connection)
    connection.execute("use fresh")
    connection.execute(FUNCTIONS.read_text())
    connection.execute("use memory")
    connection.execute("commit")
    connection.execute("checkpoint fresh")
    write_parquet(connection, version / PARQUET)
    write_ledger(connection, version / LEDGER)
    if secret is not None:
        write_masked(connection, version / MASKED, secret)
    connection.execute("detach fresh")
    return rows


def write_mart(connection: duckdb.DuckDBPyConnection, name: str, is_written: bool) -> int:
    """Copy a mart, unless it is written, with its descriptions and what is never null; returns its rows.

    Timestamps stay without a zone, and their comments say UTC: of the type with a zone, each client shows the hour and
    the day of its own desk, so that two analysts count different days.
    """
    columns = connection.execute(
        """
        select column_name, data_type, is_nullable, comment
        from duckdb_columns()
        where database_name = 'warehouse' and schema_name = 'marts' and table_name = ?
            and column_name <> 'island_id'  -- how the warehouse keeps it, nothing to a reader
        order by column_index
        """,
        [name],
    ).fetchall()
    definitions = ", ".join(
        f'"{column}" {kind}' + ("" if nullable else " not null")
        for column, kind, nullable, _ in columns
    )
    names = ", ".join(f'"{column}"' for column, *_ in columns)
    # what is looked up by a column lies together: who asks reads one row group, not the table
    order = next((c for c in ("identifier_value", "customer_key") if f'"{c}"' in names), None)
    if not is_written:
        connection.execute(f"create or replace table fresh.marts.{name} ({definitions})")
        connection.execute(
            f"insert into fresh.marts.{name} select {names} from warehouse.marts.{name}"
            + (f" order by {order}" if order else "")
        )
    (rows,) = connection.execute(f"select count(*) from fresh.marts.{name}").fetchone()
    (comment,) = connection.execute(
        "select comment from duckdb_tables() "
        "where database_name = 'warehouse' and schema_name = 'marts' and table_name = ?",
        [name],
    ).fetchone()
    comments = [f"comment on table fresh.marts.{name} is {quoted((comment or '').strip())}"]
    comments += [
        f'comment on column fresh.marts.{name}."{column}" is {quoted((comment or "").strip())}'
        for column, _, _, comment in columns
    ]
    connection.execute("; ".join(comments))
    return rows


CHANGE_LOG = """
insert into fresh.marts.identity_change_log
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

# Keys of the ledger, those that only the warehouse remembers (a lost ledger), and today's.
PUBLISHED_KEYS = """
create table fresh.gate.published_key as
with

todays_key as (

    select distinct on (customer_key) customer_key, key_received_at, key_event_id, key_identifier, key_waba_id
    from warehouse.intermediate.int_identity__resolved_node

),

remembered as (

    from former_published_key
    union all by name
    select customer_key, received_at, event_id, identifier, waba_id
    from warehouse.raw.published_key
    anti join former_published_key using (customer_key)

)

select
    customer_key,
    coalesce(remembered.received_at, todays_key.key_received_at) as received_at,
    coalesce(remembered.event_id, todays_key.key_event_id) as event_id,
    coalesce(remembered.identifier, todays_key.key_identifier) as identifier,
    coalesce(remembered.first_published_at, $published_at::timestamp) as first_published_at,
    coalesce(remembered.publish_id, $publish_id) as publish_id,
    case
        when todays_key.customer_key is not null then $publish_id else remembered.last_publish_id
    end as last_publish_id,
    coalesce(remembered.waba_id, todays_key.key_waba_id) as waba_id
from remembered
full join todays_key using (customer_key)
order by customer_key
"""


def write_memory(
    connection: duckdb.DuckDBPyConnection, publish_id: str, published_at: datetime, verdict: Verdict
) -> None:
    """The ledger of all publishes so far and of this one, within the published file."""
    connection.execute(
        f"create table fresh.marts.identity_change_log ({TABLES['identity_change_log']})"
    )
    connection.execute(
        "insert into fresh.marts.identity_change_log from former_identity_change_log"
    )
    if not verdict.is_first:
        connection.execute(CHANGE_LOG.format(changes=CHANGES), [publish_id, published_at])
    if verdict.reasons:
        connection.execute(
            "insert into fresh.marts.identity_change_log (publish_id, published_at, change, detail) "
            "values (?, ?, 'forced', ?)",
            [publish_id, published_at, "; ".join(verdict.reasons)],
        )
    connection.execute(PUBLISHED_KEYS, {"publish_id": publish_id, "published_at": published_at})
    connection.execute(f"create table fresh.gate.publication ({TABLES['publication']})")
    connection.execute("insert into fresh.gate.publication from former_publication")
    connection.execute(
        f"""
        insert into fresh.gate.publication
        select ?, ?, (from warehouse.intermediate.int_identity__as_of), ?,
            (select count(*) from fresh.marts.dim_customer),
            (select count(*) from fresh.marts.fct_message),
            (select count(customer_key) from fresh.marts.fct_message),
            coalesce(({LARGEST.format("fresh.marts.fct_message")}), 0)
        """,
        [publish_id, published_at, bool(verdict.reasons)],
    )
    connection.execute(
        """
        create table fresh.marts.publication as
        select publish_id, published_at, as_of, is_forced from fresh.gate.publication where publish_id = ?
        """,
        [publish_id],
    )


def write_calling_codes(connection: duckdb.DuckDBPyConnection) -> None:
    """How the countries of each portfolio's customers are called, for phones in national format."""
    connection.execute(
        "create table fresh.lookup.calling_code (portfolio_id varchar, calling_code varchar)"
    )
    countries = connection.execute(
        "select distinct portfolio_id, country_code from fresh.marts.dim_customer where country_code is not null"
    ).fetchall()
    codes = {
        (portfolio, str(code))
        for portfolio, country in countries
        if (code := phonenumbers.country_code_for_region(country))
    }
    if codes:
        connection.executemany("insert into fresh.lookup.calling_code values (?, ?)", sorted(codes))


def write_parquet(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The schema marts as one Parquet file per table, with the descriptions as key-value metadata.

    `description` is the table's, `column_descriptions` a JSON object of the columns'.
    """
    tables = connection.execute(
        "select table_name, coalesce(comment, '') from duckdb_tables() "
        "where database_name = 'fresh' and schema_name = 'marts'"
    ).fetchall()
    comments = connection.execute(
        "select table_name, column_name, comment from duckdb_columns() "
        "where database_name = 'fresh' and schema_name = 'marts' and comment is not null"
    ).fetchall()
    # a table's row groups are written as they come, each still in its order
    connection.execute("set preserve_insertion_order = false")
    for name, description in tables:
        columns = json.dumps({c: comment for table, c, comment in comments if table == name})
        connection.execute(
            f"copy fresh.marts.{name} to {quoted(folder / f'{name}.parquet')} (format parquet, compression zstd, "
            f"kv_metadata {{description: {quoted(description)}, column_descriptions: {quoted(columns)}}})"
        )
    connection.execute("set preserve_insertion_order = true")
