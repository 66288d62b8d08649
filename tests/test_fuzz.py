"""Records gone wrong, through the whole run with all its checks: every run publishes.

FUZZED_RECORDS sets how many; `make test-deep` sets more, with another seed.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterator

import duckdb
import pytest

from tests.command import new_folder, orchestration, published
from tests.mutations import mutate, sound_record
from tests.properties import generator

RECORDS = int(os.environ.get("FUZZED_RECORDS", "1000"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
A_RUN = 5000
# So many histories share one portfolio, with their ids, phones and usernames: they meet and collide.
PORTFOLIOS = 40


def fuzzed(chance: random.Random) -> Iterator[bytes]:
    """Lines without end, of bodies as Meta sends them and of whole histories, each mutated."""
    while True:
        (case,) = generator.sample(1, chance.randrange(2**32))
        for record in generator.place(case, chance.randrange(PORTFOLIOS)).records:
            yield mutate(record if chance.random() < 0.5 else record["body"], chance)
            yield mutate(sound_record(chance), chance)


@pytest.fixture
def folder(tmp_path):
    """A landing folder to be, and the mapping of every account that a history may be moved to."""
    folder = new_folder(tmp_path / "fuzzed")
    (case,) = generator.sample(1, SEED)
    rows = [
        row for index in range(PORTFOLIOS) for row in generator.place(case, index).business_accounts
    ]
    with (folder / "seeds" / "business_accounts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def set_aside(folder) -> list[tuple]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        return warehouse.execute(
            "select island_id, problem from intermediate.int_customer__quarantine"
        ).fetchall()


def test_every_run_publishes_whatever_arrives(folder):
    lines = fuzzed(random.Random(SEED))
    runs = max(2, -(-RECORDS // A_RUN))
    for run in range(runs):
        with (folder / "landing" / f"{run:04}.jsonl").open("wb") as file:
            file.writelines(next(lines) + b"\n" for _ in range(RECORDS // runs))
        # what arrives is worse than any gate would let through
        done = orchestration(folder, "run", "--force")
        assert done.returncode == 0, f"seed {SEED}, run {run}: {done.stdout}{done.stderr}"
        assert set_aside(folder) == [], f"seed {SEED}, run {run}"
    added = published(folder)
    done = orchestration(folder, "run", "--full-refresh", "--force")
    assert done.returncode == 0, f"seed {SEED}: {done.stdout}{done.stderr}"
    rebuilt = published(folder)
    assert [name for name in added if added[name] != rebuilt[name]] == [], f"seed {SEED}"
