"""Every mart that Spark builds is DuckDB's, and every test of dbt passes there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from tests.properties import wire
from tests.simulator.profile import BASE
from tests.simulator.simulate import simulate
from tests.spark.parity import World, build, compare, read_seeds, sample

START = datetime(2026, 5, 1, tzinfo=UTC)
LINKS = 1_000
CROWD = 50_000  # on one island
ACCOUNT = "200000000000001"  # of a simulated business


def test_the_sample_is_the_same_and_passes_every_test_of_dbt(tmp_path: Path):
    assert_same(sample(), tmp_path, with_tests=True)


def test_what_is_skewed_is_the_same(tmp_path: Path):
    """One portfolio with nine tenths of all, a long chain of changes, an island of fifty thousand, phones of hundreds."""
    simulate(BASE, 300, 2.0, 4, tmp_path)
    with (tmp_path / "landing" / "skewed.jsonl").open("w") as file:
        for record in (*a_chain(), *a_crowd()):
            file.write(json.dumps(record) + "\n")
    seeds = read_seeds(tmp_path / "seeds")
    for account in seeds["business_accounts"]:
        account["portfolio_id"] = seeds["business_accounts"][0]["portfolio_id"]
    warehouse = assert_same(World("skewed", tmp_path / "landing", seeds), tmp_path)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        (share,) = connection.execute(
            "select max(n) / sum(n) from (select count(*) as n from marts.fct_message group by portfolio_id)"
        ).fetchone()
        (bsuids,) = connection.execute("select max(bsuid_count) from marts.dim_customer").fetchone()
        (largest,) = connection.execute(
            "select max(n) from (select count(*) as n from intermediate.int_identity__island group by island_id)"
        ).fetchone()
    assert share > 0.9
    assert bsuids == LINKS + 1
    assert largest > CROWD


def assert_same(world: World, folder: Path, *, with_tests: bool = False) -> Path:
    expected = build(world, folder / "duckdb", "duckdb")
    found = build(world, folder / "spark", "spark", with_tests=with_tests)
    compared = compare(expected, found)
    assert {mart.mart: mart.difference for mart in compared if mart.difference} == {}
    assert sum(mart.rows for mart in compared) > 1000
    return found


def a_chain() -> Iterator[wire.Record]:
    """One person, whose every BSUID is the successor of the one before."""
    for n in range(LINKS):
        at = START + timedelta(hours=n)
        yield wire.rotation(at, f"BR.2{n:06}", f"BR.2{n + 1:06}", waba=ACCOUNT)
    yield wire.message(at + timedelta(hours=1), bsuid=f"BR.2{LINKS:06}", name="Bia", waba=ACCOUNT)


def a_crowd() -> Iterator[wire.Record]:
    """Phones that five hundred BSUIDs show each; the last one shows the next phone too, so that all are one island."""
    for n in range(CROWD):
        at = START + timedelta(minutes=n)
        for phone in {n // 500, (n + 1) // 500}:
            yield wire.message(
                at,
                bsuid=f"BR.1{n:06}",
                phone=f"55119{80000000 + phone}",
                name=f"Ana {n}",
                waba=ACCOUNT,
            )
