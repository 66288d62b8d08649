"""The largest published table, carried on: a run that added changes few messages, and writing all takes most of a publish.

A version begins with a copy of the published file when the warehouse's last run added to the very run that was
published. Then the messages that differ, among those of the islands which that run worked out, make way and are written
anew. All other tables are written whole. Rows written last lie behind those in order, so that after a fifth all are
written in order again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

TABLE = "fct_message"
# Of all messages: beyond it a look-up reads too many of the rows that lie out of order.
OUT_OF_ORDER_MAX = 0.2

CHANGED = f"""
create or replace temp table changed_message as
with

of_this_run as materialized (

    select * exclude (island_id)
    from warehouse.marts.{TABLE}
    where island_id in (from warehouse.intermediate.int_identity__touched_island)

),

published as (

    from published.marts.{TABLE}
    semi join of_this_run using (portfolio_id, message_id)

)

from of_this_run
except
from published
"""


def out_of_order(connection: duckdb.DuckDBPyConnection) -> int | None:
    """How many messages would lie out of order if the published ones were carried on; None: write all anew.

    `changed_message` has those of the last run then.
    """
    try:
        row = connection.execute(
            """
            select made_from.out_of_order
            from published.gate.made_from
            inner join warehouse.main.complete_run on made_from.completed_at = complete_run.added_to
            """
        ).fetchone()
        columns = [
            connection.execute(
                "select list((column_name, data_type) order by column_index) from duckdb_columns() "
                "where database_name = ? and table_name = ? and column_name <> 'island_id'",
                [database, TABLE],
            ).fetchone()
            for database in ("published", "warehouse")
        ]
        (rows,) = connection.execute(f"select count(*) from warehouse.marts.{TABLE}").fetchone()
    except (duckdb.BinderException, duckdb.CatalogException):  # nothing is, or by a former release
        return None
    if row is None or columns[0] != columns[1]:
        return None
    connection.execute(CHANGED)
    (changed,) = connection.execute("select count(*) from changed_message").fetchone()
    count = row[0] + changed
    return count if count <= OUT_OF_ORDER_MAX * rows else None


def begin_with(published: Path, database: Path) -> None:
    """Make `database` a copy of the published file that holds its messages and nothing else."""
    shutil.copyfile(published, database)
    with duckdb.connect(str(database)) as connection:
        for schema, name, kind in connection.execute(
            """
            select schema_name, function_name, if(function_type = 'table_macro', 'macro table', 'macro')
            from duckdb_functions()
            where database_name = current_database() and not internal
            union
            select schema_name, table_name, 'table'
            from duckdb_tables()
            where table_name <> ?
            """,
            [TABLE],
        ).fetchall():
            connection.execute(f'drop {kind} {schema}."{name}"')


def carry_on(connection: duckdb.DuckDBPyConnection) -> bool:
    """Exchange `changed_message`; whether all that there are are written then."""
    connection.execute(
        f"""
        delete from fresh.marts.{TABLE}
        where (portfolio_id, message_id) in (select portfolio_id, message_id from changed_message)
        """
    )
    connection.execute(
        f"insert into fresh.marts.{TABLE} by name from changed_message order by customer_key"
    )
    written, there = (
        connection.execute(f"select count(*) from {database}.marts.{TABLE}").fetchone()
        for database in ("fresh", "warehouse")
    )
    return written == there
