"""The warehouse, built on Spark: raw data and seeds are lent to it, and what it builds comes back as tables of DuckDB.

So landing, checks, the gate, publishing and whoever explains or erases a customer know nothing about it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.ledger import quoted
from orchestration.settings import Settings
from orchestration.spark.session import open_session, understanding
from orchestration.warehouse import open_warehouse

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.contracts.graph.nodes import ModelNode
    from duckdb import DuckDBPyConnection
    from pyspark.sql import SparkSession

LENT = ("raw", "seeds")
BUILT = ("main", "staging", "intermediate", "marts")


@contextmanager
def on_spark(settings: Settings, manifest: Manifest) -> Iterator[None]:
    """While it lasts dbt builds on Spark; what it has built is in the warehouse when it ends without an error."""
    folder = settings.warehouse_path.with_name(f"{settings.warehouse_path.name}.spark")
    shutil.rmtree(folder, ignore_errors=True)
    spark = open_session()
    try:
        for schema in (*LENT, *BUILT):
            spark.sql(f"drop database if exists {schema} cascade")
            spark.sql(f"create database {schema} location '{(folder / schema).as_uri()}'")
        lend(spark, settings, folder)
        with understanding(spark):
            yield
        take_back(settings, manifest, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lend(spark: SparkSession, settings: Settings, folder: Path) -> None:
    with open_warehouse(settings, read_only=True) as warehouse:
        tables = warehouse.execute(
            "select schema_name, table_name from duckdb_tables() where list_contains(?, schema_name)",
            [LENT],
        ).fetchall()
        for schema, table in tables:
            place = folder / schema / table
            place.mkdir(parents=True)
            warehouse.execute(
                f"copy {schema}.{table} to {quoted(place / 'rows.parquet')} (format parquet, compression zstd)"
            )
            spark.sql(f"create table {schema}.{table} using parquet location '{place.as_uri()}'")


def take_back(settings: Settings, manifest: Manifest, folder: Path) -> None:
    with open_warehouse(settings) as warehouse:
        for schema in BUILT:
            warehouse.execute(f"create schema if not exists {schema}")
        for node in manifest.nodes.values():
            rows = folder / node.schema / node.alias
            if node.resource_type == "model" and rows.exists():  # views have none
                replace_table(warehouse, node, f"read_parquet({quoted(rows / '*.parquet')})")


def replace_table(warehouse: DuckDBPyConnection, node: ModelNode, rows: str) -> None:
    """As dbt-duckdb leaves it: with the types, constraints and comments of its contract, if it has one."""
    name = f"{node.schema}.{node.alias}"
    for kind in ("view", "table"):
        if is_there(warehouse, kind, node):
            warehouse.execute(f"drop {kind} {name}")
    if not node.contract.enforced:
        warehouse.execute(f"create table {name} as from {rows}")
        return
    columns = [
        f"{column.name} {column.data_type}"
        + (" not null" if any(limit.type == "not_null" for limit in column.constraints) else "")
        for column in node.columns.values()
    ]
    warehouse.execute(f"create table {name} ({', '.join(columns)})")
    warehouse.execute(f"insert into {name} by name from {rows}")
    warehouse.execute(f"comment on table {name} is {quoted(node.description)}")
    for column in node.columns.values():
        warehouse.execute(f"comment on column {name}.{column.name} is {quoted(column.description)}")


def is_there(warehouse: DuckDBPyConnection, kind: str, node: ModelNode) -> bool:
    return bool(
        warehouse.execute(
            f"select 1 from duckdb_{kind}s() where schema_name = ? and {kind}_name = ?",
            [node.schema, node.alias],
        ).fetchone()
    )
