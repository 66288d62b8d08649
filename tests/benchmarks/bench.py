"""How fast the pipeline is, beside what the machine can do: python -m tests.benchmarks.bench

For each size it simulates webhooks, then measures on the same files, in one run:
(a) DuckDB reading them and counting, the scan limit; (b) writing them once to an on-disk raw table;
(c) parsing and extracting the ids with orjson in Python; and the pipeline from landing to marts,
stage by stage. Tests, process start-up and publishing are shown apart. Times are wall seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import duckdb
import orjson

from orchestration.publish import publish
from orchestration.settings import Settings
from tests.build import ROOT, Build
from tests.conftest import read_csv


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def simulate(events: int, folder: Path) -> None:
    """Landing files of about so many updates, with the seed of their WABAs."""
    command = [sys.executable, "-m", "tests.simulator", "--profile", "base", "--seed", "11"]
    command += ["--events", str(events), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


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

    return {"(a) scan": timed(scan), "(b) write once": timed(write), "(c) orjson": timed(parse)}


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


def pipeline(folder: Path, accounts: list[dict[str, str]], scratch: Path) -> dict[str, float]:
    """Seconds of landing, of each layer's models and of publishing."""
    build = Build(scratch)
    shutil.rmtree(build.landing)
    build.landing.symlink_to(folder)
    stages: dict[str, float] = defaultdict(float)
    stages["landing"] = timed(build.land)
    layers = build.dbt({"business_accounts": accounts}, {})
    for layer, seconds in layers.items():
        stages[layer] += seconds
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=scratch / "published",
    )
    stages["publish"] = timed(lambda: publish(settings))
    return dict(stages)


def measure(events: int, scratch: Path) -> dict[str, float]:
    simulated = scratch / "simulated"
    simulate(events, simulated)
    landing = simulated / "landing"
    figures = {"gigabytes": sum(f.stat().st_size for f in landing.rglob("*.jsonl")) / 1e9}
    figures |= references(landing, scratch)
    figures |= pipeline(landing, read_csv(simulated / "seeds" / "business_accounts.csv"), scratch)
    figures["landing to marts"] = sum(
        figures.get(stage, 0.0) for stage in ("landing", "staging", "intermediate", "marts")
    )
    figures["times (b)"] = figures["landing to marts"] / figures["(b) write once"]
    figures["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 3_000_000])
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "benchmark.csv")
    arguments = parser.parse_args()
    columns = []
    for events in arguments.events:
        print(f"{events:,} updates ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as scratch:
            columns.append(measure(events, Path(scratch)))
    names = list(columns[0])
    lines = [["figure", *(f"{events:,}" for events in arguments.events)]]
    lines += [[name, *(f"{column.get(name, 0):.2f}" for column in columns)] for name in names]
    for line in lines:
        print(f"{line[0]:20}" + "".join(f"{value:>14}" for value in line[1:]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        "".join(",".join(v.replace(",", "") for v in line) + "\n" for line in lines)
    )
    print(f"Written to {arguments.out}")


if __name__ == "__main__":
    main()
