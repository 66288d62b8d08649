"""Builds a warehouse from webhook records the way a run does, in process and without Dagster.

The warehouse of a test is a real one: records are written as landing files, loaded by the loader and resolved by dbt,
which adds or rebuilds as a run's does; its manifest is parsed once per test session.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
from dbt.artifacts.resources.types import NodeType
from dbt.contracts.graph.manifest import Manifest

from orchestration import mode
from orchestration.landing import load_landing_dir
from orchestration.project import build, parse
from orchestration.publish import publish
from orchestration.seeds import Seeds
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse

ROOT = Path(__file__).parents[1]
# Relations in the manifest bear the file's name: dbt parses it once for all.
WAREHOUSE = "warehouse.duckdb"
ONLY_ROWS = ("build", "--quiet", "--resource-type", "seed", "--resource-type", "model")


def project() -> tuple[Path, Manifest]:
    """The folder that holds the dbt project, and its manifest as every test warehouse has it."""
    return ROOT, parse(Settings(warehouse_path=ROOT / WAREHOUSE))


class Build:
    """A warehouse in `folder` that takes in records run by run.

    `variables` are dbt vars; `seeds` maps a seed to its rows. `run` may be called again with more
    records: it loads only these, as a second run of the pipeline would. `target` is that of dbt.
    """

    def __init__(self, folder: Path, target: str = "duckdb") -> None:
        self.folder = folder
        self.target = target
        self.landing = folder / "landing"
        self.landing.mkdir(parents=True, exist_ok=True)
        self.warehouse = folder / WAREHOUSE
        self.runs = 0

    def run(
        self,
        records: Iterable[Mapping[str, object]],
        seeds: Seeds | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> None:
        self.runs += 1
        path = self.landing / f"run-{self.runs:04}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        self.land()
        self.dbt(seeds or {}, variables or {})

    @property
    def settings(self) -> Settings:
        return Settings(
            landing_dir=self.landing,
            warehouse_path=self.warehouse,
            publish_dir=self.folder / "published",
            dbt_target=self.target,
        )

    def land(self) -> None:
        """Load what is new in the landing folder."""
        with open_warehouse(self.settings) as connection:
            # generated histories may end after today
            result = load_landing_dir(connection, self.settings, now=datetime(2027, 1, 1))
            if result.left_out:
                raise AssertionError(" ".join(result.sentences()))

    def dbt(
        self, seeds: Seeds, variables: Mapping[str, object], full_refresh: bool = False
    ) -> dict[str, float]:
        """Run every model; returns the seconds until the file is closed (`models`) and those of each layer.

        Models run two at a time, so that the layers add up to more than the whole.
        """
        plan = mode.decide(self.settings, seeds, full_refresh=full_refresh, variables=variables)
        started = time.perf_counter()
        result = build(
            self.settings,
            seeds,
            full_refresh=plan.full_refresh,
            variables=variables,
            command=ONLY_ROWS,
        )
        layers = {"models": time.perf_counter() - started}
        mode.remember(self.settings, plan)
        for node in result:
            if node.node.resource_type == NodeType.Model:
                layers[node.node.schema] = layers.get(node.node.schema, 0.0) + node.execution_time
        return layers

    def publish(self) -> Path:
        """Check and publish what was built last, as a run does; returns the published file. Raises UserError."""
        checks = ("test", "--quiet", "--exclude-resource-type", "unit_test")
        build(self.settings, {}, full_refresh=False, command=checks)
        return publish(self.settings.model_copy(update={"force": True})).path

    def dbt_test(self) -> None:
        """Run dbt's data and unit tests on what was built last. Raises DbtError naming them."""
        build(self.settings, {}, full_refresh=False, command=("test", "--quiet"))

    def query_rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, object]]:
        """The rows of a query by column name."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            found = connection.execute(sql, list(parameters))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()
