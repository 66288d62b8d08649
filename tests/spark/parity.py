"""Every mart that Spark builds beside DuckDB's, of the same landing files: python -m tests.spark.parity

On the sample and on three simulated worlds; EVENTS, PROFILE and SEED say which.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.project import BUILD
from orchestration.project import build as run_dbt
from orchestration.seeds import Seeds
from tests.build import ROOT, Build
from tests.conftest import read_csv
from tests.simulator.profile import PROFILES
from tests.simulator.simulate import persons_for, simulate

YEARS = 2.0


@dataclass(frozen=True)
class World:
    """Landing files and reference data."""

    name: str
    landing: Path
    seeds: Seeds


@dataclass(frozen=True)
class Comparison:
    mart: str
    rows: int
    difference: str  # empty where there is none


def sample() -> World:
    return World("sample", ROOT / "seeds" / "sample" / "webhooks", read_seeds(ROOT / "seeds"))


def simulated(folder: Path, profile: str, events: int, seed: int) -> World:
    of = PROFILES[profile]
    simulate(of, persons_for(of, events, YEARS, seed), YEARS, seed, folder)
    name = f"{profile}, {events} updates, seed {seed}"
    return World(name, folder / "landing", read_seeds(folder / "seeds"))


def read_seeds(folder: Path) -> Seeds:
    return {path.stem: read_csv(path) for path in folder.glob("*.csv")}


def build(world: World, folder: Path, target: str, *, with_tests: bool = False) -> Path:
    """The warehouse, resolved; with dbt's data and unit tests if asked to. Raises DbtError when one fails."""
    built = Build(folder, target)
    built.landing.rmdir()
    built.landing.symlink_to(world.landing)
    built.land()
    if with_tests:
        run_dbt(built.settings, world.seeds, full_refresh=True, command=("build", "--quiet"))
    else:
        run_dbt(built.settings, world.seeds, full_refresh=True, command=(*BUILD, "--quiet"))
    return built.warehouse


def compare(one: Path, other: Path) -> list[Comparison]:
    """All marts of two warehouses: the same columns of the same types, and the same rows, each as often.

    But for island_id, which is the engine's own hash and is not published.
    """
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)"
        )
        names = connection.execute(
            "select distinct table_name from duckdb_tables() where schema_name = 'marts' order by all"
        ).fetchall()
        return [Comparison(name, *compare_mart(connection, name)) for (name,) in names]


def compare_mart(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[int, str]:
    columns = [
        connection.execute(
            "select column_name, data_type from duckdb_columns() "
            "where database_name = ? and schema_name = 'marts' and table_name = ? order by column_index",
            [database, name],
        ).fetchall()
        for database in ("one", "other")
    ]
    if columns[0] != columns[1]:
        return 0, f"other columns: {sorted(set(columns[0]) ^ set(columns[1]))}"
    shown = ", ".join(column for column, _ in columns[0] if column != "island_id")
    rows = [f"select {shown} from {database}.marts.{name}" for database in ("one", "other")]
    count, missing, added = connection.execute(
        f"select (select count(*) from ({rows[0]})), "
        f"(select count(*) from ({rows[0]} except all {rows[1]})), "
        f"(select count(*) from ({rows[1]} except all {rows[0]}))"
    ).fetchone()
    return count, f"{missing} rows missing, {added} others" if missing or added else ""


def main() -> int:
    events = int(os.environ.get("EVENTS") or 20_000)
    profile = os.environ.get("PROFILE") or "hostile"
    seeds = [int(seed) for seed in (os.environ.get("SEED") or "1 2 3").split()]
    differences = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        worlds = [sample()]
        worlds += [simulated(folder / str(seed), profile, events, seed) for seed in seeds]
        for number, world in enumerate(worlds):
            print(world.name, flush=True)
            built = [
                build(world, folder / f"{number}-{target}", target)
                for target in ("duckdb", "spark")
            ]
            for found in compare(*built):
                print(
                    f"  {found.mart:32} {found.rows:>9}  {found.difference or 'equal'}", flush=True
                )
                differences += bool(found.difference)
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
