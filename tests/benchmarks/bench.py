"""How fast the pipeline is, beside what the machine can do: python -m tests.benchmarks.bench

For each size it simulates webhooks, keeps the newest hundredth back, and measures on the same files, in one run:

- references: (a) DuckDB reading them and counting, the scan limit; (b) writing them once to an on-disk raw table;
  (c) parsing and extracting the ids with orjson in Python
- cold: everything else from landing to marts, and publishing, stage by stage
- batch: the hundredth that was kept back, added to it
- clusters: the links of the identity graph, with ids as numbers, joined by the pipeline's function, by scipy, by Splink
  and by label propagation in SQL
- look-ups of a customer by phone, BSUID and username in the published file

Times are wall seconds, without tests and the start-up of processes; `start-up` shows a run with nothing new, as the
command line does it, and Python alone beside it. Each stage runs in a process of its own, so that its peak memory is
its own.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import altair
import duckdb
import orjson
import pandas
import splink
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from splink.clustering import cluster_pairwise_predictions_at_threshold

from dbt_project.plugins.connected_components import Plugin as Components
from orchestration.publish import publish
from orchestration.settings import Settings
from orchestration.versions import published_path
from tests.build import ROOT, Build
from tests.conftest import read_csv

LOOKUP = """
select customers.* from lookup.identifier as held
inner join marts.dim_customer as customers using (customer_key)
where held.key_hash = lookup.key_hash($kind, if($kind = 'phone', lookup.phone_key($value), $value))
"""


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three times: what takes milliseconds is lost in noise else."""
    return min(timed(work) for _ in range(3))


def apart(work: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """The figures of some work, done in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def peak() -> float:
    """The most memory this process ever had, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def simulate(events: int, folder: Path) -> None:
    """Landing files of about so many updates, with the seed of their WABAs."""
    command = [sys.executable, "-m", "tests.simulator", "--profile", "base", "--seed", "11"]
    command += ["--events", str(events), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def keep_back(landing: Path, later: Path) -> None:
    """Move the newest files, a hundredth of all bytes, out of the landing folder."""
    files = sorted(landing.rglob("*.jsonl"))
    wanted = sum(file.stat().st_size for file in files) / 100
    while wanted > 0:
        file = files.pop()
        wanted -= file.stat().st_size
        target = later / file.relative_to(landing)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


def read_lines(folder: Path) -> str:
    """The files as one column of text, as DuckDB reads them fastest."""
    return (
        f"read_csv('{folder}/**/*.jsonl', columns = {{'line': 'varchar'}}, delim = '\\x01', "
        "quote = '', escape = '', header = false, auto_detect = false, strict_mode = false, "
        "max_line_size = 10000000)"
    )


def references(folder: Path, scratch: Path) -> dict[str, float]:
    """Seconds of (a), (b) and (c)."""

    def scan() -> None:
        duckdb.execute(f"select count(*) from {read_lines(folder)}").fetchone()

    def write() -> None:
        with duckdb.connect(str(scratch / "raw.duckdb")) as connection:
            connection.execute(f"create table raw as from {read_lines(folder)}")

    def parse() -> None:
        for path in folder.rglob("*.jsonl"):
            with path.open("rb") as file:
                for line in file:
                    if b"{" in line:
                        extract(line)

    figures = {"(a) scan": timed(scan), "(b) write once": timed(write), "(c) orjson": timed(parse)}
    (scratch / "raw.duckdb").unlink()
    return figures


def extract(line: bytes) -> list[tuple]:
    """The ids of each message and status of a record; nothing of a broken one."""
    try:
        body = orjson.loads(line)["body"]
        return [
            (
                item.get("id"),
                item.get("from"),
                item.get("from_user_id"),
                item.get("recipient_user_id"),
            )
            for entry in body["entry"]
            for change in entry["changes"]
            for name in ("messages", "statuses")
            for item in change["value"].get(name) or ()
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return []


def run(
    build: Build, settings: Settings, accounts: list[dict[str, str]], name: str
) -> dict[str, float]:
    """Seconds of one run's landing, models (and each layer's) and publishing, and its peak memory."""
    figures = {f"{name}: landing": timed(build.land)}
    layers = build.dbt({"business_accounts": accounts}, {})
    figures |= {f"{name}: {layer}": seconds for layer, seconds in layers.items()}
    figures[f"{name}: publish"] = timed(lambda: publish(settings))
    figures[f"{name}: landing to marts"] = figures[f"{name}: landing"] + layers["models"]
    figures[f"{name}: peak GB"] = peak()
    return figures


def clusters(warehouse: Path) -> dict[str, float]:
    """Seconds to find the components of the distinct identity links, with ids as integers."""
    connection = duckdb.connect(str(warehouse), read_only=True)
    connection.execute(
        """
        create temp table edges as
        with links as (
            select distinct portfolio_id || left_node_id as a, portfolio_id || right_node_id as b
            from marts.identity_link
        ),
        ids as (
            select node, cast(row_number() over () - 1 as integer) as id
            from (select a as node from links union select b from links)
        )
        select x.id as a, y.id as b
        from links join ids as x on a = x.node join ids as y on b = y.node
        """
    )
    connection.execute("create temp table nodes as select distinct unnest([a, b]) as id from edges")
    count = connection.execute("select count(*) from edges").fetchone()[0]
    Components.configure_connection(None, connection)

    def by_pipeline() -> None:
        connection.execute(
            "create or replace temp table components as "
            "select unnest(components_of(list(a), list(b))) from edges"
        )

    def by_scipy() -> None:
        edges = connection.execute("select a, b from edges").fetchnumpy()
        size = max(edges["a"].max(), edges["b"].max()) + 1
        ones = (edges["a"] >= 0).astype("int8")
        graph = coo_array((ones, (edges["a"], edges["b"])), shape=(size, size))
        connected_components(graph, directed=False)

    api = splink.DuckDBAPI()
    nodes, edges = (
        connection.execute(f"from {name}").to_arrow_table() for name in ("nodes", "edges")
    )

    def by_splink() -> None:
        cluster_pairwise_predictions_at_threshold(
            nodes,
            edges,
            api,
            node_id_column_name="id",
            edge_id_column_name_left="a",
            edge_id_column_name_right="b",
        )

    def by_labels() -> None:
        connection.execute(
            "create or replace temp table labels as select id, id as label from nodes"
        )
        changed = True
        while changed:
            connection.execute(
                """
                create or replace temp table next_labels as
                select labels.id, least(min(labels.label), min(neighbours.label)) as label
                from labels
                left join (select a, b from edges union all select b, a from edges) as both_ways
                    on labels.id = both_ways.a
                left join labels as neighbours on both_ways.b = neighbours.id
                group by labels.id
                """
            )
            changed = connection.execute(
                "select bool_or(labels.label <> next_labels.label) from labels join next_labels using (id)"
            ).fetchone()[0]
            connection.execute("create or replace temp table labels as from next_labels")

    return {
        "clusters: links": float(count),
        "clusters: pipeline": best(by_pipeline),
        "clusters: scipy": best(by_scipy),
        "clusters: Splink": best(by_splink),
        "clusters: label propagation": best(by_labels),
    }


def lookups(settings: Settings) -> dict[str, float]:
    """Milliseconds to find a customer by an identifier: median and 99th percentile of 300 each."""
    figures = {}
    # one thread: to wake a second one takes longer than the query
    with duckdb.connect(
        str(published_path(settings)), read_only=True, config={"threads": 1}
    ) as connection:
        for kind in ("phone", "bsuid", "username"):
            values = connection.execute(
                "select identifier_value from marts.dim_customer_identifier where identifier_type = ? "
                "order by hash(identifier_value) limit 300",
                [kind],
            ).fetchall()
            random.Random(1).shuffle(values)
            seconds = [
                timed(
                    lambda value=value, kind=kind: connection.execute(
                        LOOKUP, {"kind": kind, "value": value}
                    ).fetchall()
                )
                for (value,) in values
            ]
            figures[f"look-up by {kind}: median ms"] = statistics.median(seconds) * 1000
            figures[f"look-up by {kind}: p99 ms"] = statistics.quantiles(seconds, n=100)[-1] * 1000
    return figures


def start_up(scratch: Path) -> dict[str, float]:
    """Seconds of the command line on the sample when nothing is new, and of Python doing nothing."""
    environment = os.environ | {
        "WAREHOUSE_PATH": str(scratch / "sample.duckdb"),
        "PUBLISH_DIR": str(scratch / "sample"),
        "DAGSTER_HOME": str(scratch / "dagster"),
    }

    def call(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return timed(
            lambda: subprocess.run(
                command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
            )
        )

    return {
        "start-up: first run of the sample": call("-m", "orchestration", "run"),
        "start-up: nothing new": min(call("-m", "orchestration", "run") for _ in range(3)),
        "start-up: python": min(call("-c", "pass") for _ in range(3)),
    }


def measure(events: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as folder:
        scratch = Path(folder)
        simulated = scratch / "simulated"
        simulate(events, simulated)
        accounts = read_csv(simulated / "seeds" / "business_accounts.csv")
        landing, later = simulated / "landing", scratch / "later"
        keep_back(landing, later)
        figures = {"gigabytes": sum(f.stat().st_size for f in landing.rglob("*.jsonl")) / 1e9}
        figures |= apart(references, landing, scratch)
        build = Build(scratch / "build")
        shutil.rmtree(build.landing)
        build.landing.symlink_to(landing)
        settings = Settings(
            landing_dir=build.landing,
            warehouse_path=build.warehouse,
            publish_dir=scratch / "published",
            force=True,
        )
        figures |= apart(run, build, settings, accounts, "cold")
        figures["cold: warehouse GB"] = build.warehouse.stat().st_size / 1e9
        figures["cold: times (b)"] = figures["cold: landing to marts"] / figures["(b) write once"]
        shutil.copytree(later, landing, dirs_exist_ok=True)
        figures |= apart(run, build, settings, accounts, "batch")
        figures["batch: share of cold"] = (
            figures["batch: landing to marts"] / figures["cold: landing to marts"]
        )
        figures |= clusters(build.warehouse)
        figures |= lookups(settings)
        figures |= start_up(scratch)
    return figures


def draw(columns: dict[int, dict[str, float]], path: Path) -> None:
    """Seconds by size, as bars of what they are spent on."""
    stages = [
        *(("cold", stage) for stage in ("landing", "models", "publish")),
        *(("batch", stage) for stage in ("landing", "models", "publish")),
        ("reference", "(b) write once"),
    ]
    rows = [
        {
            "updates": f"{events:,} {kind}",
            "stage": stage,
            "seconds": figures.get(f"{kind}: {stage}", figures.get(stage, 0.0)),
        }
        for events, figures in columns.items()
        for kind, stage in stages
    ]
    chart = altair.Chart(pandas.DataFrame(rows)).mark_bar()
    chart = chart.encode(x="seconds", y=altair.Y("updates", sort=None), color="stage")
    chart.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    events = [int(count) for count in os.environ.get("EVENTS", "").split()] or [
        1_000_000,
        3_000_000,
        10_000_000,
    ]
    parser.add_argument("--events", type=int, nargs="+", default=events)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "benchmark.csv")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    columns = {}
    for events in arguments.events:
        print(f"{events:,} updates ...", file=sys.stderr, flush=True)
        columns[events] = measure(events)
        lines = [["figure", *(str(events) for events in columns)]]
        lines += [
            [name, *(f"{figures[name]:.3f}" for figures in columns.values())]
            for name in columns[events]
        ]
        # after each size: a larger one may not come to its end
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows(lines)
        draw(columns, arguments.out.with_suffix(".svg"))
    for line in lines:
        print(f"{line[0]:36}" + "".join(f"{value:>14}" for value in line[1:]))
    print(f"Written to {arguments.out} and, drawn, to {arguments.out.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
