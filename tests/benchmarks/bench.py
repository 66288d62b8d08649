"""How fast it is as a user starts it: python -m tests.benchmarks.bench

For each size it simulates webhooks (of the profile `base`, unless told), keeps the newest hundredth back, and times the
whole command, checks and publishing included: the first run, one of 1,000 updates on it, one of the rest of the newest
hundredth (a week), and one with nothing new. A run that does not publish ends the benchmark. Beside them, on the same
files, what DuckDB needs to write the files once and what a script without checks, history or increments needs to start
over (yardstick.py); then look-ups in what was published, by the table that is made for them and by the function that
analysts call.

Seconds are wall seconds, memory is the peak of the command's process. Compare figures of one table only.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb

from tests.build import ROOT

COMMAND = (sys.executable, "-m", "orchestration", "run")
# What `marts.customer_at` does for one spelling of an identifier, without planning a function.
BY_KEY = """
select customers.*
from lookup.identifier as held
inner join marts.dim_customer as customers using (customer_key)
where held.key_hash = lookup.key_hash($kind, if($kind = 'phone', lookup.phone_key($value), $value))
"""
BY_FUNCTION = "from marts.customer_at(null, $kind, $value, '2027-01-01')"


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(
    command: tuple[str, ...], environment: dict[str, str], log: Path
) -> tuple[float, float]:
    """Wall seconds and peak GB of a command. Raises RuntimeError unless it ends in 0."""
    with log.open("a") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended in {process.returncode}:\n{log.read_text()[-2000:]}"
        )
    return seconds, usage.ru_maxrss / 1e6


def simulate(events: int, profile: str, folder: Path) -> None:
    """Landing files of about so many updates, with the seed of their WABAs."""
    command = [sys.executable, "-m", "tests.simulator", "--profile", profile, "--seed", "11"]
    command += ["--events", str(events), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def keep_back(landing: Path, later: Path) -> list[Path]:
    """Move the newest files, a hundredth of all bytes, out of the landing folder; the oldest of them first."""
    files = sorted(landing.rglob("*.jsonl"))
    wanted = sum(file.stat().st_size for file in files) / 100
    kept = []
    while wanted > 0:
        file = files.pop()
        wanted -= file.stat().st_size
        kept.insert(0, file.relative_to(landing))
        target = later / kept[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return kept


def write_once(landing: Path, database: Path) -> float:
    """Seconds of it. In a process of its own: what this one needs at most would count as its children's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(timed_write, landing, database).result()


def timed_write(landing: Path, database: Path) -> float:
    started = time.perf_counter()
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"create table raw as from read_csv('{landing}/**/*.jsonl', columns = {{'line': 'varchar'}}, "
            "delim = '\\x01', quote = '', escape = '', header = false, auto_detect = false, "
            "strict_mode = false, max_line_size = 10000000)"
        )
    database.unlink()
    return time.perf_counter() - started


def lookups(published: Path) -> dict[str, float]:
    """Milliseconds to find a customer by an identifier: median and 99th percentile of 300 each, one thread."""
    figures = {}
    with duckdb.connect(str(published), read_only=True, config={"threads": 1}) as connection:
        for kind in ("phone", "bsuid", "username"):
            values = connection.execute(
                "select identifier_value from marts.dim_customer_identifier where identifier_type = ? "
                "order by hash(identifier_value) limit 300",
                [kind],
            ).fetchall()
            random.Random(1).shuffle(values)
            for name, query in (("by key", BY_KEY), ("by customer_at", BY_FUNCTION)):
                arguments = [{"kind": kind, "value": value} for (value,) in values]
                seconds = [
                    timed(lambda q=query, a=argument: connection.execute(q, a).fetchall())
                    for argument in arguments
                ]
                figures[f"{kind} {name}: median ms"] = statistics.median(seconds) * 1000
                figures[f"{kind} {name}: p99 ms"] = statistics.quantiles(seconds, n=100)[-1] * 1000
    return figures


def measure(events: int, profile: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as folder:
        scratch = Path(folder)
        simulated, later, log = scratch / "simulated", scratch / "later", scratch / "log"
        simulate(events, profile, simulated)
        landing = simulated / "landing"
        newest = keep_back(landing, later)
        size = sum(file.stat().st_size for file in landing.rglob("*.jsonl"))
        environment = {
            "LANDING_DIR": str(landing),
            "SEEDS_DIR": str(simulated / "seeds"),
            "WAREHOUSE_PATH": str(scratch / "warehouse.duckdb"),
            "PUBLISH_DIR": str(scratch / "published"),
            "DAGSTER_HOME": str(scratch / "dagster"),
        }
        for csv_file in (ROOT / "seeds").glob("*.csv"):
            if not (simulated / "seeds" / csv_file.name).exists():
                header = csv_file.read_text().splitlines()[0]
                (simulated / "seeds" / csv_file.name).write_text(header + "\n")
        figures = {"files GB": size / 1e9}
        figures["write once s"] = write_once(landing, scratch / "once.duckdb")
        yardstick = (sys.executable, "-m", "tests.benchmarks.yardstick")
        figures["yardstick s"], figures["yardstick peak GB"] = measured(
            (*yardstick, str(landing), str(scratch / "yardstick.duckdb")), {}, log
        )
        (scratch / "yardstick.duckdb").unlink()

        def run(name: str) -> None:
            figures[f"{name} s"], figures[f"{name} peak GB"] = measured(COMMAND, environment, log)

        run("first run")
        first = newest[0]
        lines = (later / first).read_bytes().splitlines(keepends=True)
        (landing / first).parent.mkdir(parents=True, exist_ok=True)
        (landing / first).write_bytes(b"".join(lines[:1000]))
        run("1,000 updates")
        with (landing / first).open("ab") as file:
            file.writelines(lines[1000:])
        for name in newest[1:]:
            (landing / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(later / name, landing / name)
        run("newest hundredth")
        run("nothing new")
        figures["warehouse GB"] = (scratch / "warehouse.duckdb").stat().st_size / 1e9
        published = scratch / "published" / "customers.duckdb"
        figures["published GB"] = published.stat().st_size / 1e9
        return figures | lookups(published)


def sample() -> dict[str, float]:
    """The first run of the sample, and one with nothing new."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch = Path(folder)
        environment = {
            "LANDING_DIR": str(ROOT / "seeds" / "sample" / "webhooks"),
            "WAREHOUSE_PATH": str(scratch / "warehouse.duckdb"),
            "PUBLISH_DIR": str(scratch / "published"),
            "DAGSTER_HOME": str(scratch / "dagster"),
        }
        return {
            "first run s": measured(COMMAND, environment, scratch / "log")[0],
            "nothing new s": min(
                measured(COMMAND, environment, scratch / "log")[0] for _ in range(3)
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    events = os.environ.get("EVENTS", "").split() or [1_000_000, 10_000_000]
    parser.add_argument("--events", type=int, nargs="+", default=[int(count) for count in events])
    parser.add_argument("--profile", default=os.environ.get("PROFILE") or "base")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "benchmark.csv")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    columns = {"sample": sample()}
    for events in arguments.events:
        print(f"{events:,} updates ...", file=sys.stderr, flush=True)
        columns[f"{events:,}"] = measure(events, arguments.profile)
        names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
        lines = [["figure", *columns]] + [
            [
                name,
                *(
                    f"{figures[name]:.2f}" if name in figures else ""
                    for figures in columns.values()
                ),
            ]
            for name in names
        ]
        # after each size: a larger one may not come to its end
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    for line in lines:
        print(f"{line[0]:32}" + "".join(f"{value:>14}" for value in line[1:]))
    print(f"Written to {arguments.out}")


if __name__ == "__main__":
    main()
