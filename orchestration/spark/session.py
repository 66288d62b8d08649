"""A session of Spark that understands the models: their functions, their time, their SQL."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

import duckdb
from dbt.adapters.spark.session import Cursor
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession

from orchestration.project import PLUGINS
from orchestration.spark.sql import Translation

# What dbt sends: comments, what it makes of a query if anything, the query.
STATEMENT = re.compile(
    r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
    r"(?:(?P<makes>create\s.*?\sas\s*\n)|(?=with\b|select\b|\())(?P<query>.*)",
    re.DOTALL | re.IGNORECASE,
)
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    # as in DuckDB: a time without a zone, which is UTC
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.join.asofJoin.enabled": "true",
    # else it makes all pairs that the rest of its condition lets in
    "spark.sql.join.sortMergeAsOfJoin.enabled": "true",
    # what it makes of unions of one table with itself is no plan
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.PushProjectionThroughUnion",
}
views = itertools.count()


def open_session() -> SparkSession:
    """The session of this process. Where it runs and with how much, PYSPARK_SUBMIT_ARGS and spark-defaults.conf say."""
    # workers on this machine run the same Python
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("whatsapp-customer-identity")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    add_functions(spark)
    return spark


def add_functions(spark: SparkSession) -> None:
    """What the plug-ins of dbt-duckdb add to DuckDB, and what JSON needs."""
    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    import phone_numbers

    # workers need the library phonenumbers, not this project
    cloudpickle.register_pickle_by_value(phone_numbers)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    phone = "struct<phone_e164: string, country_code: string, match_key: string>"
    spark.udf.register("e164_digits", phone_numbers.e164_digits, "string")
    spark.udf.register("read_phone", phone_numbers.read_phone, phone)
    spark.udf.register("nfc_normalize", nfc_normalize, "string")
    spark.udf.register(
        "key_paths", key_paths, "array<struct<object_path: string, key_name: string>>"
    )


def nfc_normalize(text: str | None) -> str | None:
    return text and unicodedata.normalize("NFC", text)


def key_paths(text: str | None) -> list[tuple[str, str]]:
    """All keys of a JSON text, each with the path of its object; [] stands for every place of a list."""
    found = set()

    def look(value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                found.add((path, key))
                look(part, f"{path}.{key}")
        elif isinstance(value, list):
            for part in value:
                look(part, f"{path}[]")

    look(json.loads(text or "null"), "$")
    return sorted(found)


@contextmanager
def understanding(spark: SparkSession) -> Iterator[None]:
    """While it lasts, what dbt-spark is asked to run is taken for DuckDB's SQL."""

    def execute(cursor: Cursor, statement: str) -> None:
        cursor._df = run(spark, statement)

    with mock.patch.object(Cursor, "execute", execute):
        yield


def run(spark: SparkSession, statement: str) -> DataFrame:
    """Run a statement of dbt's, its query being DuckDB's SQL."""
    if said := STATEMENT.fullmatch(statement):
        # dbt-spark's own quotes stand in what dbt-core writes around a model
        query = said["query"].replace("`", '"')
        statement = (said["makes"] or "") + translated(spark, query)
    return spark.sql(statement)


def translated(spark: SparkSession, query: str) -> str:
    def columns_of(query: str) -> list[str]:
        return spark.sql(query).columns

    def work_out(query: str, inputs: Mapping[str, str]) -> str:
        """In this process: what comes here is few rows, or rows of few bytes."""
        from connected_components import Plugin

        view = f"worked_out_{next(views)}"
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            Plugin("connected_components", {}).configure_connection(connection)
            for name, rows in inputs.items():
                connection.register(name, spark.sql(rows).toArrow())
            found = connection.execute(query).to_arrow_table()
        spark.createDataFrame(found).createOrReplaceTempView(view)
        return view

    return Translation(columns_of, work_out)(query)
