"""dbt, run in this process: a subprocess takes eleven seconds to build its first table, and can outlive a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb

from orchestration.seeds import Seeds, write_seeds
from orchestration.settings import REPOSITORY, Settings, UserError, cure_of
from orchestration.terminal import without_identifiers
from orchestration.warehouse import open_warehouse

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.contracts.graph.manifest import Manifest

FOLDER = REPOSITORY / "dbt_project"
TARGET = FOLDER / "target"
PLUGINS = FOLDER / "plugins"
# Unit tests prove the SQL, not the data: `make test` runs them.
BUILD = ("build", "--exclude-resource-type", "unit_test")
# A run that adds leaves checks to the next rebuild and to the night (see data_tests in dbt_project.yml); its views stand.
LEFT_TO_THE_NIGHT = ("--exclude", "tag:below_the_marts", "config.materialized:view")


class DbtError(UserError):
    """dbt could not read the project, build a model or pass a test."""


def environment(settings: Settings) -> dict[str, str]:
    """What profiles.yml reads."""
    return {
        "DBT_TARGET": settings.dbt_target,
        "WAREHOUSE_PATH": str(settings.warehouse_path),
        "DUCKDB_THREADS": str(settings.duckdb_threads),
        "DUCKDB_MEMORY_LIMIT": settings.duckdb_memory_limit,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def invoke(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    manifest: Manifest | None = None,
    on_event: Callable[[Any], None] | None = None,
):
    """One dbt command with these environment variables; returns dbt's own result (dbtRunnerResult).

    The warehouse is closed when it returns. What dbt says goes to standard output.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    places = ["--project-dir", str(FOLDER), "--profiles-dir", str(FOLDER)]
    quiet = ["--no-use-colors", "--log-level-file", "none"]
    with mock.patch.dict(os.environ, variables):
        try:
            result = dbtRunner(manifest, [on_event] if on_event else None).invoke(
                [*arguments, *places, *quiet]
            )
        finally:
            DuckDBConnectionManager.close_all_connections()
    if isinstance(result.exception, KeyboardInterrupt):
        raise result.exception
    return result


def parse(
    settings: Settings, variables: Mapping[str, object] | None = None, *, written: bool = False
) -> Manifest:
    """The project as dbt reads it: models, tests, macros. Raises DbtError.

    Parsed once per process; dbt parses only the files anew that changed since the last process did.
    `variables` are dbt vars, as `--vars` takes them. `written` leaves its JSON in TARGET, for other programs.
    """
    given = json.dumps(variables or {}, sort_keys=True)
    return _parse(settings.dbt_target, settings.warehouse_path.name, given, written)


@cache
def _parse(target: str, database: str, variables: str, written: bool) -> Manifest:
    # a name without its folder: relations bear it, and dbt reads all files anew when it changes
    arguments = ["parse", "--quiet", "--write-json" if written else "--no-write-json"]
    if variables != "{}":
        arguments += ["--vars", variables, "--no-partial-parse"]
    result = invoke(arguments, {"DBT_TARGET": target, "WAREHOUSE_PATH": database})
    if not result.success:
        text = str(result.exception).strip()[-2000:]
        cure = " `make .venv/.spark` installs it." if "adapter type spark" in text else ""
        raise DbtError(f"dbt cannot read dbt_project: {text}{cure}")
    return result.result


def build(
    settings: Settings,
    seeds: Seeds,
    *,
    full_refresh: bool,
    selection: Sequence[str] = (),
    variables: Mapping[str, object] | None = None,
    command: Sequence[str] = BUILD,
    on_event: Callable[[Any], None] | None = None,
) -> RunExecutionResult:
    """Run dbt on the warehouse with its incremental models started afresh, or added to.

    `seeds` are the rows of the reference CSVs, `variables` dbt vars as `--vars` takes them. `on_event`
    gets dbt's events, from any thread. Returns what dbt says of each node. Raises DbtError naming what
    failed.
    """
    if settings.dbt_target == "spark":
        # seeds are CSV, which DuckDB reads
        by_duckdb = settings.model_copy(update={"dbt_target": "duckdb"})
        build(by_duckdb, seeds, full_refresh=True, variables=variables, command=("seed", "--quiet"))
        command = (*command, "--exclude-resource-type", "seed")
    manifest = parse(settings, variables)
    # of this warehouse alone, which has one run at a time
    folder = TARGET / hashlib.sha256(str(settings.warehouse_path).encode()).hexdigest()[:12]
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "seeds").mkdir(parents=True)
    write_seeds(folder / "seeds", seeds)
    for node in manifest.nodes.values():
        if node.resource_type == "seed":
            # inside the project: dbt writes its SQL to target/run/<this path>, which would be the CSV itself elsewhere
            path = (folder / "seeds" / f"{node.name}.csv").relative_to(FOLDER)
            node.original_file_path = str(path)
    arguments = [*command, *selection, "--target-path", str(folder), "--no-write-json"]
    if full_refresh:
        arguments.append("--full-refresh")
    if variables:
        arguments += ["--vars", json.dumps(variables, sort_keys=True)]
    with engine(settings, manifest):
        result = invoke(arguments, environment(settings), manifest, on_event)
        if not result.success:
            raise DbtError(failure(result, settings))
    shutil.rmtree(folder, ignore_errors=True)
    return result.result


def engine(settings: Settings, manifest: Manifest) -> AbstractContextManager[None]:
    """What builds the models while it lasts: DuckDB is part of dbt-duckdb, Spark is made ready and its tables fetched."""
    if settings.dbt_target != "spark":
        return contextlib.nullcontext()
    from orchestration.spark.warehouse import on_spark  # an extra of its own

    return on_spark(settings, manifest)


def document(settings: Settings) -> None:
    """Write dbt's documentation of the warehouse to target/docs/static_index.html. Raises DbtError."""
    result = invoke(
        ["docs", "generate", "--static", "--quiet", "--target-path", str(TARGET / "docs")],
        environment(settings),
        parse(settings),
    )
    if not result.success:
        raise DbtError(failure(result, settings))


def failure(result, settings: Settings) -> str:
    """What failed, in one sentence: models that cannot be built, else the tests with some of the rows they found."""
    if result.exception:
        return str(result.exception).strip()
    for node in result.result:
        if node.status == "error" and (cure := cure_of(node.message or "")):
            fault = next(line for line in node.message.splitlines() if cure_of(line))
            return f"{node.node.name}: {fault.strip().rstrip('.')}; {cure}, then run again"
    failed = [node for node in result.result if node.status in ("error", "fail")]
    broken = [node for node in failed if node.node.resource_type != "test"] or failed
    return "; ".join(
        f"{node.node.name}: {without_identifiers(' '.join((node.message or '').split()))}"
        + (f", such as {rows}" if (rows := offending_rows(settings, node)) else "")
        for node in broken[:5]
    )


def offending_rows(settings: Settings, node, limit: int = 3) -> list[dict[str, object]]:
    """Some of the rows for which a test failed, by their keys and numbers: this is logged, and texts may be of somebody."""
    if node.status != "fail":
        return []
    try:
        with open_warehouse(settings, read_only=True) as warehouse:
            found = warehouse.execute(f"from ({node.node.compiled_code}) limit {limit}")
            names = [column[0] for column in found.description]
            return [
                {
                    name: str(value)
                    for name, value in zip(names, row, strict=True)
                    if not isinstance(value, str) or name.endswith(("customer_key", "portfolio_id"))
                }
                for row in found.fetchall()
            ]
    except (duckdb.Error, UserError):  # the failure is the one to tell
        return []


def interrupt() -> None:
    """Stop the queries that dbt has under way."""
    from dbt.adapters.factory import FACTORY

    for adapter in FACTORY.adapters.values():
        if adapter.type() != "duckdb":  # Spark's end with this process
            continue
        for connection in list(adapter.connections.thread_connections.values()):
            # dbt may close it meanwhile
            with contextlib.suppress(duckdb.ConnectionException):
                if connection.state == "open":
                    connection.handle.cursor().interrupt()
