"""Builds a warehouse from webhook records the way a run does, in process and without Dagster.

The warehouse of a test is a real one: records are written as landing files, loaded by the loader and resolved by dbt.
dbt's in-process runner saves the start-up of a subprocess per build; its manifest is parsed once per test session.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from unittest import mock

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.resources.types import NodeType
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from orchestration.landing import load_landing_dir
from orchestration.seeds import REQUIRED
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse

ROOT = Path(__file__).parents[1]


@cache
def project() -> tuple[Path, Manifest]:
    """A copy of the dbt project with seeds of its own beside it, and its manifest."""
    folder = Path(tempfile.mkdtemp(prefix="dbt-project-"))
    shutil.copytree(
        ROOT / "dbt_project",
        folder / "dbt_project",
        ignore=shutil.ignore_patterns("target", "logs", ".seeds"),
    )
    write_seeds(folder / "seeds", {})
    # relations in the manifest carry the file name as database: every test warehouse has this one
    with mock.patch.dict(os.environ, {"WAREHOUSE_PATH": str(folder / "warehouse.duckdb")}):
        result = dbtRunner().invoke(["parse", *folders(folder), "--quiet"])
    if not result.success:
        raise RuntimeError(f"dbt parse failed: {result.exception}")
    return folder, result.result


def folders(folder: Path) -> list[str]:
    project_dir = str(folder / "dbt_project")
    return ["--project-dir", project_dir, "--profiles-dir", project_dir]


def write_seeds(folder: Path, seeds: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """Write every seed CSV; one that a test does not name has only its header."""
    folder.mkdir(exist_ok=True)
    for name, columns in REQUIRED.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(seeds.get(name, ()))


class Build:
    """A warehouse in `folder` that takes in records run by run.

    `variables` are dbt vars; `seeds` maps a seed to its rows. `run` may be called again with more
    records: it loads only these, as a second run of the pipeline would.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.landing.mkdir(parents=True, exist_ok=True)
        self.warehouse = folder / "warehouse.duckdb"
        self.runs = 0

    def run(
        self,
        records: Iterable[Mapping[str, object]],
        seeds: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> None:
        self.runs += 1
        path = self.landing / f"run-{self.runs:04}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        self.land()
        self.dbt(seeds or {}, variables or {})

    def land(self) -> None:
        """Load what is new in the landing folder."""
        settings = Settings(
            landing_dir=self.landing,
            warehouse_path=self.warehouse,
            publish_dir=self.folder / "published",
        )
        with open_warehouse(settings) as connection:
            # generated histories may end after today
            result = load_landing_dir(connection, settings, now=datetime(2027, 1, 1))
            if problem := result.error():
                raise problem

    def dbt(
        self,
        seeds: Mapping[str, Sequence[Mapping[str, object]]],
        variables: Mapping[str, object],
    ) -> dict[str, float]:
        """Run every model; returns the seconds until the file is closed (`models`) and those of each layer.

        Models run two at a time, so that the layers add up to more than the whole.
        """
        folder, manifest = project()
        write_seeds(folder / "seeds", seeds)
        command = ["run", *folders(folder), "--quiet"]
        if variables:
            # a var is part of the compiled SQL: the shared manifest does not know it
            command += ["--vars", json.dumps(variables), "--no-partial-parse"]
            manifest = None
        with mock.patch.dict(os.environ, {"WAREHOUSE_PATH": str(self.warehouse)}):
            runner = dbtRunner(manifest=manifest)
            seeded = runner.invoke(["seed", *folders(folder), "--quiet", "--full-refresh"])
            result = runner.invoke(command) if seeded.success else seeded
            closing = time.perf_counter()
            DuckDBConnectionManager.close_all_connections()
        if not result.success:
            raise AssertionError(f"dbt failed: {result.exception or failures(result)}")
        layers = {"models": result.result.elapsed_time + time.perf_counter() - closing}
        for node in result.result:
            if node.node.resource_type == NodeType.Model:
                layers[node.node.schema] = layers.get(node.node.schema, 0.0) + node.execution_time
        return layers

    def dbt_test(self) -> None:
        """Run dbt's data and unit tests on what was built last. Raises AssertionError naming them."""
        folder, manifest = project()
        with mock.patch.dict(os.environ, {"WAREHOUSE_PATH": str(self.warehouse)}):
            result = dbtRunner(manifest=manifest).invoke(["test", *folders(folder), "--quiet"])
            DuckDBConnectionManager.close_all_connections()
        if not result.success:
            raise AssertionError(f"dbt test failed: {result.exception or failures(result)}")

    def query_rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, object]]:
        """The rows of a query by column name."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            found = connection.execute(sql, list(parameters))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()


def failures(result) -> str:
    return "; ".join(
        f"{node.node.name}: {node.message}"
        for node in result.result or ()
        if node.status in ("error", "fail")
    )
