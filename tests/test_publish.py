"""Publishing: swapped in whole, gated, remembered for ever."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from orchestration.ledger import copy_keys_to_warehouse, open_ledger
from orchestration.publish import GateClosed, check_gate, publish, published_path
from orchestration.settings import Settings, UserError
from tests.build import Build
from tests.properties import wire

ACCOUNTS = [{"waba_id": "200000000000001", "portfolio_id": "P", "default_country": "BR"}]


@dataclass
class Shop:
    """A small warehouse that can be run and published again and again."""

    build: Build
    settings: Settings

    def run(self, *records, overrides=(), **settings) -> None:
        seeds = {"business_accounts": ACCOUNTS, "identity_overrides": overrides}
        copy_keys_to_warehouse(self.settings)
        self.build.run(records, seeds=seeds)

    def publish(self, **changed):
        return publish(self.settings.model_copy(update=changed))

    def rows(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(published_path(self.settings)), read_only=True) as published:
            return published.execute(sql).fetchall()


@pytest.fixture
def shop(tmp_path) -> Shop:
    build = Build(tmp_path)
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=tmp_path / "published",
        gate_free_customers=0,
        gate_max_moved_message_share=1.0,
    )
    return Shop(build, settings)


def link(decision: str, left: str, right: str) -> dict[str, str]:
    return {
        "portfolio_id": "P",
        "left_type": "bsuid",
        "left_value": left,
        "right_type": "bsuid",
        "right_value": right,
        "decision": decision,
    }


ANA = wire.message("2026-05-01T10:00:00Z", bsuid="BR.1", phone="5511900000001", name="Ana")
BOB = wire.message("2026-05-02T10:00:00Z", bsuid="BR.2", phone="5511900000002", name="Bob")


def test_the_gate_holds_a_merge_back_and_force_lets_it_through_and_is_remembered(shop):
    shop.run(ANA, BOB)
    assert shop.publish().verdict.is_first
    before = published_path(shop.settings).read_bytes()
    shop.run(overrides=[link("must_link", "BR.1", "BR.2")])
    assert check_gate(shop.settings).merged == 1
    with pytest.raises(GateClosed, match="1 of 2 customers would merge"):
        shop.publish()
    assert published_path(shop.settings).read_bytes() == before
    shop.publish(force=True)
    assert shop.rows("select count(*) from marts.dim_customer") == [(1,)]
    log = shop.rows("select change, link_rule from marts.identity_change_log order by all")
    assert {("merged", "R11"), ("forced", None)} <= set(log)
    # and back again: the override is taken out
    shop.run()
    assert check_gate(shop.settings).split == 1
    shop.publish(force=True)
    assert shop.rows("select count(*) from marts.dim_customer") == [(2,)]


def test_messages_that_vanish_close_the_gate(shop):
    shop.run(ANA, BOB)
    shop.publish()
    shop.build.warehouse.unlink()
    (shop.build.landing / "run-0001.jsonl").unlink()
    shop.run(ANA)
    with pytest.raises(GateClosed, match="message"):
        shop.publish(gate_max_moved_message_share=0.02)


@pytest.mark.parametrize(
    "since", ["update main.complete_run set digest = null", "delete from main.complete_run"]
)
def test_a_warehouse_that_is_not_complete_is_not_published_not_even_by_force(shop, since):
    shop.run(ANA)
    shop.publish()
    with duckdb.connect(str(shop.build.warehouse)) as warehouse:
        warehouse.execute(since)
    with pytest.raises(UserError, match="not complete"):
        shop.publish(force=True)
    assert len(shop.rows("from marts.dim_customer")) == 1


def test_a_message_without_an_id_is_evidence_and_no_fact_and_one_without_a_type_is_both(shop):
    anonymous, untyped = copy.deepcopy(ANA), copy.deepcopy(BOB)
    for record, name in ((anonymous, "id"), (untyped, "type")):
        del record["body"]["entry"][0]["changes"][0]["value"]["messages"][0][name]
    shop.run(anonymous, untyped)
    shop.publish()
    assert shop.rows("select current_bsuid from marts.dim_customer order by all") == [
        ("BR.1",),
        ("BR.2",),
    ]
    assert shop.rows("select count(*), count(message_id) from marts.fct_message") == [(1, 1)]


def test_a_former_key_leads_to_its_customer_after_late_older_evidence_moved_it(shop):
    shop.run(BOB)
    shop.publish()
    [(former,)] = shop.rows("select customer_key from marts.dim_customer")
    older = wire.message("2026-04-20T10:00:00Z", bsuid="BR.2", phone="5511900000002", name="Bob")
    shop.run(older)
    shop.publish(force=True)
    [(today,)] = shop.rows("select customer_key from marts.dim_customer")
    assert today != former
    # the redirect of the key that was published before
    shop.run()
    shop.publish()
    redirects = dict(
        shop.rows("select old_customer_key, customer_key from marts.customer_key_redirect")
    )
    assert redirects[former] == today


def test_published_keys_survive_a_lost_warehouse(shop):
    shop.run(ANA)
    shop.publish()
    shop.build.warehouse.unlink()
    shop.run()
    assert shop.build.query("select count(*) from raw.published_key") == [(1,)]


def test_a_reader_keeps_what_it_opened_and_the_next_one_sees_the_new_version(shop):
    shop.run(ANA)
    shop.publish()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(published_path(shop.settings))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline() == "1\n"
    shop.run(BOB)
    shop.publish()
    out, _ = reader.communicate("go\n", timeout=30)
    assert out == "1\n"
    assert shop.rows("select count(*) from marts.dim_customer") == [(2,)]


READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.execute("select count(*) from marts.dim_customer").fetchone()[0], flush=True)
sys.stdin.readline()
print(connection.execute("select count(*) from marts.dim_customer").fetchone()[0], flush=True)
"""


def test_parquet_holds_the_same_rows_and_customer_at_answers(shop):
    shop.run(ANA, BOB)
    publication = shop.publish()
    for name, count in publication.rows.items():
        path = shop.settings.publish_dir / "parquet" / f"{name}.parquet"
        assert duckdb.execute(f"select count(*) from '{path}'").fetchone() == (count,), name
    [(key,)] = shop.rows("select customer_key from marts.dim_customer where current_bsuid = 'BR.1'")
    at = "marts.customer_at('P', 'phone', '5511900000001', '{}')"
    assert shop.rows(f"select customer_key from {at.format('2026-06-01')}") == [(key,)]
    assert shop.rows(f"select customer_key from {at.format('2026-04-01')}") == []


def test_parquet_has_the_documented_names_in_every_version(published_sample):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = re.search(r"\n## The tables\n(.*?)\n## ", readme, re.DOTALL)[1]
    first_cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    documented = set(re.findall(r"`([a-z_]+)`", " ".join(first_cells)))
    folder = published_sample.publish_dir / "parquet"
    with duckdb.connect(str(published_path(published_sample)), read_only=True) as published:
        tables = published.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall()
    assert "dim_customer" in documented
    names = {path.stem for path in folder.iterdir()}
    assert documented <= names == {name for (name,) in tables}
    assert folder.is_symlink()
    publish(published_sample)
    assert {path.stem for path in folder.iterdir()} == names


def test_the_sql_entry_reads_and_never_writes(published_sample):
    def sql(query: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "orchestration.sql", query],
            env={**os.environ, **published_sample.environment()},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert "85" in sql("select count(*) from marts.dim_customer").stdout
    refused = sql("delete from marts.dim_customer")
    assert refused.returncode == 1
    assert "read-only" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize("delay", [0.05, 0.3])
def test_a_kill_while_publishing_leaves_the_former_version(shop, delay):
    shop.run(ANA)
    shop.publish()
    shop.run(BOB)
    environment = {**os.environ, **shop.settings.environment()}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import orchestration.cli as c; print('ready', flush=True); c.main(['publish'])",
        ],
        env=environment,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert shop.rows("select count(*) from marts.dim_customer")[0][0] in (1, 2)
    shop.publish()
    assert shop.rows("select count(*) from marts.dim_customer") == [(2,)]
    with open_ledger(shop.settings) as ledger:
        assert ledger.execute("select count(*) from published_key").fetchone() == (2,)
    leftovers = [path for path in shop.settings.publish_dir.glob(".*") if path.suffix == ".duckdb"]
    assert leftovers == []
