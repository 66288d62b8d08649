"""Publishing: swapped in whole, gated, remembered for ever."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration import continued
from orchestration.explain import customers_of, open_published
from orchestration.gate import compare
from orchestration.ledger import copy_keys_to_warehouse, ledger_path
from orchestration.publish import GateClosed, attached, publish
from orchestration.settings import Settings, UserError
from orchestration.versions import claimed, published_path
from tests.build import ROOT, Build
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


def open_shop(folder: Path) -> Shop:
    build = Build(folder)
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=folder / "published",
        gate_free_customers=0,
        gate_max_moved_message_share=1.0,
    )
    return Shop(build, settings)


@pytest.fixture
def shop(tmp_path) -> Shop:
    return open_shop(tmp_path)


@pytest.fixture(scope="module")
def before_a_merge(tmp_path_factory) -> Path:
    """A shop where ANA and BOB are published, and a person has said since that they are one."""
    shop = open_shop(tmp_path_factory.mktemp("merge") / "shop")
    shop.run(ANA, BOB)
    shop.publish()
    shop.run(overrides=[link("must_link", "BR.1", "BR.2")])
    return shop.build.folder


@pytest.fixture
def merging(before_a_merge, tmp_path) -> Shop:
    """Such a shop, to do with as one likes."""
    shop = open_shop(shutil.copytree(before_a_merge, tmp_path / "shop", symlinks=True))
    shop.build.runs = 2
    return shop


def link(decision: str, left: str, right: str) -> dict[str, str]:
    return {
        "portfolio_id": "P",
        "left_type": "bsuid",
        "left_value": left,
        "right_type": "bsuid",
        "right_value": right,
        "decision": decision,
    }


def judged(settings):
    """What the gate says of publishing now."""
    with attached(settings) as connection:
        return compare(connection, settings)


ANA = wire.message("2026-05-01T10:00:00Z", bsuid="BR.1", phone="5511900000001", name="Ana")
BOB = wire.message("2026-05-02T10:00:00Z", bsuid="BR.2", phone="5511900000002", name="Bob")


def test_the_gate_holds_a_merge_back_and_force_lets_it_through_and_is_remembered(shop):
    shop.run(ANA, BOB)
    assert shop.publish().verdict.is_first
    before = published_path(shop.settings).read_bytes()
    shop.run(overrides=[link("must_link", "BR.1", "BR.2")])
    assert judged(shop.settings).merged == 1
    with pytest.raises(GateClosed, match="1 of 2 customers would merge"):
        shop.publish()
    assert published_path(shop.settings).read_bytes() == before
    shop.publish(force=True)
    assert shop.rows("select count(*) from marts.dim_customer") == [(1,)]
    log = shop.rows("select change, link_rule from marts.identity_change_log order by all")
    assert {("merged", "R11"), ("forced", None)} <= set(log)
    # and back again: the override is taken out
    shop.run()
    assert judged(shop.settings).split == 1
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
    assert "85" in sql("select count(*) from dim_customer").stdout
    asked = sql("from customer_at('100000000000001', 'phone', '(11) 90000-0028', '2026-05-20')")
    assert "5511900000028" in asked.stdout
    for query, words in {
        "delete from dim_customer": "read-only",
        "create table mine as from dim_customer": "read-only",
        f"from '{Path(__file__).parents[1] / 'seeds' / 'business_accounts.csv'}'": "disabled",
        "from read_text('/etc/hostname')": "disabled",
        "copy dim_customer to '/tmp/customers.csv'": "disabled",
        "set enable_external_access = true": "locked",
    }.items():
        refused = sql(query)
        assert refused.returncode == 1, query
        assert words in refused.stderr and "Traceback" not in refused.stderr, query


# --- Whole or not at all --------------------------------------------------------------------------


def seen(settings: Settings) -> set[str]:
    """The publishes that readers see: one, of the file, of Parquet and of the ledger."""
    folder = settings.publish_dir
    with duckdb.connect(str(folder / "customers.duckdb"), read_only=True) as published:
        found = published.execute("select publish_id from marts.publication").fetchall()
        found += published.execute("select max(publish_id) from gate.publication").fetchall()
    with duckdb.connect(str(ledger_path(settings)), read_only=True) as remembered:
        found += remembered.execute("select max(publish_id) from publication").fetchall()
        found += remembered.execute("select max(last_publish_id) from published_key").fetchall()
    table = folder / "parquet" / "publication.parquet"
    found += duckdb.execute("select publish_id from read_parquet(?)", [str(table)]).fetchall()
    return {publish_id for (publish_id,) in found}


STEPS = {"execute", "mkdir", "symlink", "rename", "replace", "fsync", "unlink", "rmdir", "link"}


def publish_and_die(settings: Settings, step: int, done: multiprocessing.Queue | None) -> None:
    """Publish; at the n-th step kill this process. Otherwise tell the steps that were made."""
    made: list[str] = []

    def count(frame, event: str, called: object) -> None:
        name = getattr(called, "__name__", "")
        # str has a replace, too
        on_disk = name == "execute" or getattr(called, "__module__", "") == "posix"
        if event == "c_call" and name in STEPS and on_disk:
            if len(made) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            made.append(name)

    sys.setprofile(count)
    publish(settings)
    sys.setprofile(None)
    done.put(made)


def publish_with_little_disk(settings: Settings, limit: int, done: multiprocessing.Queue) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        publish(settings)
        done.put("published")
    except UserError as error:
        done.put(str(error))


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Starts processes that have imported all this and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandas", "tests.test_publish"])
    return context


def keep(shop: Shop) -> Path:
    """A copy of what is published, to be put back."""
    return shutil.copytree(shop.settings.publish_dir, shop.build.folder / "before", symlinks=True)


def put_back(shop: Shop, before: Path) -> None:
    shutil.rmtree(shop.settings.publish_dir)
    shutil.copytree(before, shop.settings.publish_dir, symlinks=True)


def whole(settings: Settings) -> None:
    """Readers see a new version that says once what changed, and nothing else lies about."""
    assert len(seen(settings)) == 1
    with open_published(settings) as published:
        log = published.execute("select change from identity_change_log order by all").fetchall()
    assert log == [("forced",), ("merged",), ("merged",)]
    folder = settings.publish_dir
    assert {path.name for path in folder.iterdir()} == {
        "current",
        "customers.duckdb",
        "parquet",
        "versions",
    }
    kept = sorted(path.name for path in (folder / "versions").iterdir())
    assert len(kept) == 2 and (folder / "current").resolve().name == kept[-1]


def test_a_kill_at_any_step_leaves_one_whole_version_and_the_next_publish_completes(
    merging, processes
):
    before = keep(merging)
    [former] = seen(merging.settings)
    forced = merging.settings.model_copy(update={"force": True})
    done = processes.Queue()
    process = processes.Process(target=publish_and_die, args=(forced, -1, done))
    process.start()
    made = done.get(timeout=60)
    process.join()
    whole(forced)
    # queries by the dozen write what nobody sees; each step of the disk counts
    step_by_step = os.environ.get("PROPERTY_CASES")
    queries = [n for n, name in enumerate(made) if name == "execute"]
    others = [n for n, name in enumerate(made) if name != "execute"]
    assert len(others) > 25
    news = 0
    for step in sorted(
        [*queries[:: 1 if step_by_step else 40], *others[:: 1 if step_by_step else 2]]
    ):
        put_back(merging, before)
        process = processes.Process(target=publish_and_die, args=(forced, step, None))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, step
        [version] = seen(merging.settings)
        news += version != former
        merging.publish(force=True)
        if version == former:
            whole(merging.settings)
        else:
            assert len(seen(merging.settings)) == 1
            assert len(merging.rows("from marts.identity_change_log")) == 3
    assert news


def test_a_kill_at_any_step_of_the_first_publish_is_healed_by_the_next(shop, processes):
    shop.run(ANA)
    done = processes.Queue()
    process = processes.Process(target=publish_and_die, args=(shop.settings, -1, done))
    process.start()
    made = done.get(timeout=60)
    process.join()
    others = [n for n, name in enumerate(made) if name != "execute"]
    for step in others[::4]:
        shutil.rmtree(shop.settings.publish_dir)
        process = processes.Process(target=publish_and_die, args=(shop.settings, step, None))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, step
        if published_path(shop.settings).exists():
            assert len(seen(shop.settings)) == 1
        shop.publish()
        assert len(seen(shop.settings)) == 1
        assert shop.rows("from marts.identity_change_log") == []


@pytest.mark.parametrize("limit", [4_096, 300_000, 1_200_000])
def test_a_full_disk_is_one_sentence_and_the_next_publish_completes(merging, processes, limit):
    before = seen(merging.settings)
    forced = merging.settings.model_copy(update={"force": True})
    done = processes.Queue()
    process = processes.Process(target=publish_with_little_disk, args=(forced, limit, done))
    process.start()
    said = done.get(timeout=60)
    process.join()
    assert "Nothing was published" in said and str(merging.settings.publish_dir) in said
    assert "make room" in said and "\n" not in said
    assert seen(merging.settings) == before
    merging.publish(force=True)
    whole(merging.settings)


def test_two_publishes_at_once_are_one_publish_and_one_sentence(shop):
    shop.run(ANA)
    with claimed(shop.settings), pytest.raises(UserError, match="Another process is publishing"):
        shop.publish()
    shop.publish()


def test_only_the_version_before_is_kept_and_its_readers_keep_theirs(shop):
    shop.run(ANA)
    for _ in range(4):
        shop.publish()
    assert len(list((shop.settings.publish_dir / "versions").iterdir())) == 2


def test_paths_with_quotes_and_spaces_are_paths(tmp_path):
    build = Build(tmp_path / 'Ana\'s "shop"; --')
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=build.folder / "it's published",
    )
    build.run([ANA], seeds={"business_accounts": ACCOUNTS})
    publish(settings)
    copy_keys_to_warehouse(settings)
    with open_published(settings) as published:
        assert published.execute("select count(*) from dim_customer").fetchone() == (1,)


def test_a_publish_dir_that_cannot_be_one_is_named(shop):
    shop.run(ANA)
    file = shop.build.folder / "file"
    file.touch()
    for folder in (file, file / "below"):
        with pytest.raises(UserError, match=f"PUBLISH_DIR={folder} cannot be used"):
            shop.publish(publish_dir=folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_publish_dir_without_write_access_is_named(shop):
    shop.run(ANA)
    shop.publish()
    shop.run(BOB)
    versions = shop.settings.publish_dir / "versions"
    versions.chmod(0o500)
    with pytest.raises(UserError, match="write access"):
        shop.publish()
    versions.chmod(0o700)
    assert shop.rows("select count(*) from marts.dim_customer") == [(1,)]


# --- Former layouts, and copies put back ----------------------------------------------------------


def make_former_layout(settings: Settings, parquet: str) -> None:
    """What version 0.1 left: files under their names, Parquet behind a link (or copied, a folder)."""
    folder = settings.publish_dir
    version = (folder / "current").resolve()
    for name in ("current", "customers.duckdb", "parquet"):
        (folder / name).unlink()
    with duckdb.connect(str(version / "ledger.duckdb")) as remembered:
        remembered.execute("alter table published_key drop column last_publish_id")
        remembered.execute("drop table publication")
    with duckdb.connect(str(version / "customers.duckdb")) as published:
        published.execute("drop table gate.published_key; drop table gate.publication")
        published.execute("drop schema lookup cascade")
    (version / "customers.duckdb").rename(folder / "customers.duckdb")
    (version / "ledger.duckdb").rename(folder / "ledger.duckdb")
    if parquet == "link":
        (version / "parquet").rename(folder / ".parquet-20261101T000000000000")
        (folder / "parquet").symlink_to(".parquet-20261101T000000000000")
    else:
        (version / "parquet").rename(folder / "parquet")
    shutil.rmtree(folder / "versions")


@pytest.mark.parametrize("parquet", ["link", "folder"])
def test_a_former_layout_is_taken_over(merging, parquet):
    make_former_layout(merging.settings, parquet)
    with pytest.raises(GateClosed, match="1 of 2 customers would merge"):
        merging.publish()
    # it is a version now, and readers see the same
    assert merging.rows("select count(*) from marts.dim_customer") == [(2,)]
    assert (merging.settings.publish_dir / "parquet" / "dim_customer.parquet").exists()
    assert copy_keys_to_warehouse(merging.settings) == 2
    merging.publish(force=True)
    whole(merging.settings)
    assert copy_keys_to_warehouse(merging.settings) == 2


@pytest.mark.parametrize("parquet", ["link", "folder"])
def test_a_kill_while_a_former_layout_is_taken_over_costs_nothing(merging, processes, parquet):
    make_former_layout(merging.settings, parquet)
    before = shutil.copytree(
        merging.settings.publish_dir, merging.build.folder / "former", symlinks=True
    )
    forced = merging.settings.model_copy(update={"force": True})
    done = processes.Queue()
    process = processes.Process(target=publish_and_die, args=(forced, -1, done))
    process.start()
    made = done.get(timeout=60)
    process.join()
    steps = [n for n, name in enumerate(made) if name != "execute"]
    for step in steps[:60:6]:
        put_back(merging, before)
        process = processes.Process(target=publish_and_die, args=(forced, step, None))
        process.start()
        process.join()
        assert merging.rows("select count(*) from marts.dim_customer") == [(2,)], step
        merging.publish(force=True)
        whole(merging.settings)


def test_a_folder_of_somebody_else_s_is_named_before_anything_is_written(shop):
    shop.run(ANA)
    shop.publish()
    before = seen(shop.settings)
    parquet = shop.settings.publish_dir / "parquet"
    parquet.unlink()
    parquet.mkdir()
    (parquet / "mine.parquet").write_text("years of work")
    with pytest.raises(UserError, match="move the folder away"):
        shop.publish()
    assert (parquet / "mine.parquet").read_text() == "years of work"
    parquet.rename(shop.build.folder / "mine")
    shop.publish()
    assert seen(shop.settings) != before


def test_a_copy_with_its_links_followed_is_taken_over(merging):
    before = keep(merging)
    shutil.rmtree(merging.settings.publish_dir)
    shutil.copytree(before, merging.settings.publish_dir, symlinks=False)
    with pytest.raises(UserError, match="current is a folder.*move it away"):
        merging.publish(force=True)
    shutil.rmtree(merging.settings.publish_dir / "current")
    merging.publish(force=True)
    whole(merging.settings)


def test_lost_links_are_made_again(merging, caplog):
    for name in ("current", "customers.duckdb", "parquet"):
        (merging.settings.publish_dir / name).unlink()
    merging.publish(force=True)
    assert "leads to the newest version" in caplog.text
    whole(merging.settings)


# --- The ledger -----------------------------------------------------------------------------------


def test_a_lost_ledger_is_restored_from_its_copy_and_this_is_said(merging, caplog):
    ledger_path(merging.settings).unlink()
    merging.build.warehouse.unlink()
    merging.run()
    assert "takes its place" in caplog.text
    assert merging.build.query("select count(*) from raw.published_key") == [(2,)]
    merging.publish(force=True)
    with duckdb.connect(str(ledger_path(merging.settings)), read_only=True) as remembered:
        assert remembered.execute("select count(*) from published_key").fetchone() == (2,)


def test_a_ledger_without_a_copy_is_not_made_anew_without_a_word(merging):
    make_former_layout(merging.settings, "link")
    (merging.settings.publish_dir / "ledger.duckdb").unlink()
    for work in (merging.publish, lambda: copy_keys_to_warehouse(merging.settings)):
        with pytest.raises(UserError, match="lost and no copy of it is left.*FORCE=1"):
            work()
    merging.publish(force=True)
    # what the warehouse was told of it is not lost
    with duckdb.connect(str(ledger_path(merging.settings)), read_only=True) as remembered:
        assert remembered.execute("select count(*) from published_key").fetchone() == (2,)


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_ledger_is_named_with_the_cure_and_the_cure_works(merging, damage):
    path = ledger_path(merging.settings)
    path.write_bytes(path.read_bytes()[:5000] if damage is None else damage)
    for work in (merging.publish, lambda: copy_keys_to_warehouse(merging.settings)):
        with pytest.raises(UserError, match="ledger.duckdb cannot be read.*move it away"):
            work()
    path.unlink()
    assert copy_keys_to_warehouse(merging.settings) == 2


def test_a_lost_published_file_does_not_open_the_gate(merging):
    published_path(merging.settings).resolve().unlink()
    copy_keys_to_warehouse(merging.settings)
    merging.run(overrides=[link("must_link", "BR.1", "BR.2")])
    with pytest.raises(GateClosed, match="1 of 2 customers would merge"):
        merging.publish()
    merging.publish(force=True)
    whole(merging.settings)


def test_without_a_published_file_customers_who_vanish_close_the_gate(shop):
    shop.run(ANA, BOB)
    shop.publish()
    published_path(shop.settings).resolve().unlink()
    assert judged(shop.settings).vanished == 0
    shop.build.warehouse.unlink()
    (shop.build.landing / "run-0001.jsonl").unlink()
    shop.run(ANA)
    verdict = judged(shop.settings)
    assert (verdict.customers, verdict.vanished, verdict.moved_messages) == (2, 1, 1)
    with pytest.raises(GateClosed, match="1 of 2 customers would vanish.*GATE_MAX_VANISHED_SHARE"):
        shop.publish()


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_published_file_is_named_with_the_cure_and_the_cure_works(merging, damage):
    path = published_path(merging.settings).resolve()
    path.write_bytes(path.read_bytes()[:5000] if damage is None else damage)
    with pytest.raises(UserError, match="customers.duckdb cannot be read.*move it away"):
        merging.publish()
    path.unlink()
    merging.publish(force=True)
    whole(merging.settings)


def test_customers_who_appear_are_counted_and_hold_nothing_back(shop):
    shop.run(ANA)
    shop.publish()
    shop.run(BOB)
    verdict = shop.publish().verdict
    assert (verdict.appeared, verdict.vanished, verdict.reasons) == (1, 0, [])


def test_customers_who_vanish_close_the_gate_and_are_remembered(shop):
    shop.run(ANA, BOB)
    shop.publish()
    shop.build.warehouse.unlink()
    (shop.build.landing / "run-0001.jsonl").unlink()
    shop.run(ANA)
    with pytest.raises(GateClosed, match="1 of 2 customers would vanish"):
        shop.publish()
    shop.publish(force=True)
    log = shop.rows("select change from marts.identity_change_log order by all")
    assert log == [("forced",), ("vanished",)]


def test_a_portfolio_mapped_anew_keeps_its_customers(shop):
    shop.run(ANA)
    shop.publish()
    shop.build.run([], seeds={"business_accounts": [{**ACCOUNTS[0], "portfolio_id": "Q"}]})
    assert judged(shop.settings).vanished == 0


# --- Carrying the messages on ---------------------------------------------------------------------


def messages(shop: Shop) -> tuple[list[tuple], int]:
    """Every message, and how many of them lie out of order."""
    [(out_of_order,)] = shop.rows("select out_of_order from gate.made_from")
    return shop.rows("from marts.fct_message order by all"), out_of_order


def test_messages_are_carried_on_from_the_run_that_was_published_and_are_the_same(
    shop, monkeypatch
):
    many = [
        wire.message(f"2026-05-03T10:{minute:02}:00Z", bsuid="BR.3", phone="5511900000003")
        for minute in range(30)
    ]
    shop.run(ANA, BOB, *many)
    shop.publish()
    assert messages(shop)[1] == 0
    again = wire.message("2026-05-04T10:00:00Z", bsuid="BR.1", phone="5511900000001")
    shop.run(again)
    shop.publish()
    carried, out_of_order = messages(shop)
    # of Ana's two messages one is new, and it is written behind the others
    assert (len(carried), out_of_order) == (33, 1)
    lookups = "from marts.conversation('P', 'phone', '5511900000001') order by all"
    conversation = shop.rows(lookups)
    assert len(conversation) == 2
    # the same run published once more is no run that added to what is published
    shop.publish()
    assert messages(shop) == (carried, 0)
    assert shop.rows(lookups) == conversation
    # nor is a run after one that was not published
    shop.run(wire.message("2026-05-05T10:00:00Z", bsuid="BR.1", phone="5511900000001"))
    shop.run(wire.message("2026-05-06T10:00:00Z", bsuid="BR.2", phone="5511900000002"))
    shop.publish()
    assert (len(messages(shop)[0]), messages(shop)[1]) == (35, 0)
    # where too many would lie out of order, all are written in order
    monkeypatch.setattr(continued, "OUT_OF_ORDER_MAX", 0)
    shop.run(wire.message("2026-05-07T10:00:00Z", bsuid="BR.2", phone="5511900000002"))
    shop.publish()
    assert (len(messages(shop)[0]), messages(shop)[1]) == (36, 0)


def test_a_bsuid_is_looked_up_as_one_whoever_wears_it_as_a_username(shop):
    """Also once its holder has moved on: the name is worn today, the BSUID was hers."""
    rotation = wire.rotation("2026-05-10", "BR.1", "BR.9")
    eve = wire.message("2026-05-20", bsuid="BR.666", phone="5511900000666", username="BR.1")
    shop.run(ANA, rotation, eve)
    shop.publish()
    [(hers,)] = shop.rows(
        "select customer_key from marts.dim_customer where current_bsuid = 'BR.9'"
    )
    for kind in ("'bsuid'", "null"):
        found = shop.rows(
            f"select distinct customer_key from marts.conversation('P', {kind}, 'BR.1')"
        )
        assert found == [(hers,)]
    with open_published(shop.settings) as published:
        assert [key for key, _ in customers_of(published, "BR.1")] == [hers]


# --- The published file explains itself -----------------------------------------------------------


@pytest.fixture(scope="module")
def published(published_sample) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_published(published_sample) as connection:
        yield connection


def test_every_table_and_column_is_described_and_every_time_says_utc(published):
    tables = published.execute(
        "select table_name, comment from duckdb_tables() where database_name = 'published'"
    ).fetchall()
    assert [name for name, comment in tables if not comment] == []
    columns = published.execute(
        """
        select table_name, column_name, data_type, comment from duckdb_columns()
        where database_name = 'published' and schema_name = 'marts'
        """
    ).fetchall()
    assert len(columns) > 200
    assert [column for column in columns if not column[3]] == []
    assert [c for c in columns if c[2].startswith("TIMESTAMP") and "UTC" not in c[3]] == []


def test_the_values_of_a_column_are_told_with_their_meaning(published):
    comments = {
        (table, column): comment
        for table, column, comment in published.execute(
            "select table_name, column_name, comment from duckdb_columns() where schema_name = 'marts'"
        ).fetchall()
    }
    checked = 0
    for path in (ROOT / "dbt_project" / "models" / "marts").glob("*.yml"):
        for model in yaml.safe_load(path.read_text())["models"]:
            for column in model["columns"]:
                for test in column.get("data_tests", ()):
                    if "accepted_values" in test:
                        comment = comments[model["name"], column["name"]]
                        for value in test["accepted_values"]["arguments"]["values"]:
                            # the word, and something about it
                            assert re.search(rf"\b{value}\b \(", comment), (path.name, value)
                            checked += 1
    assert checked > 50


def test_parquet_carries_the_descriptions(published, published_sample):
    for name, comment in published.execute(
        "select table_name, comment from duckdb_tables() where schema_name = 'marts'"
    ).fetchall():
        file = str(published_sample.publish_dir / "parquet" / f"{name}.parquet")
        metadata = dict(
            duckdb.execute(
                "select decode(key), decode(value) from parquet_kv_metadata(?)", [file]
            ).fetchall()
        )
        assert metadata["description"] == comment
        columns = duckdb.execute("describe from read_parquet(?)", [file]).fetchall()
        assert {c[0] for c in columns} <= set(json.loads(metadata["column_descriptions"])), name


def test_what_is_never_null_says_so(published, sample_build):
    wanted = set(
        sample_build.query(
            """
            select table_name, column_name from duckdb_columns()
            where schema_name = 'marts' and not is_nullable and column_name <> 'island_id'
            """
        )
    )
    found = set(
        published.execute(
            """
            select table_name, column_name from duckdb_columns()
            where schema_name = 'marts' and not is_nullable
            """
        ).fetchall()
    )
    assert ("dim_customer", "customer_key") in wanted and wanted <= found


def test_how_the_warehouse_keeps_a_mart_is_not_published(shop):
    shop.run(ANA)
    with duckdb.connect(str(shop.build.warehouse)) as warehouse:
        warehouse.execute("alter table marts.dim_customer add column island_id bigint")
    shop.publish()
    assert shop.rows("select 1 from duckdb_columns() where column_name = 'island_id'") == []


# --- The functions --------------------------------------------------------------------------------

PORTFOLIO = "100000000000001"


@pytest.mark.parametrize(
    "phone",
    [
        "5511900000028",
        "+5511900000028",
        "+55 (11) 90000-0028",
        "0055 11 90000.0028",
        "011 90000 0028",
        "(11) 90000-0028",
        "5511900000028@s.whatsapp.net",
        "5511900000028:7@s.whatsapp.net",
        " 5511900000028 ",
    ],
)
def test_customer_at_takes_a_phone_in_any_spelling_and_tells_its_holders_apart(published, phone):
    def holder(moment: str) -> list[tuple]:
        return published.execute(
            "select customer_key from customer_at(?, 'phone', ?, ?)", [PORTFOLIO, phone, moment]
        ).fetchall()

    [then], [now] = holder("2026-05-20"), holder("2026-10-01")
    assert then != now
    assert holder("2020-01-01") == []


def test_a_phone_is_found_with_and_without_the_digit_that_whatsapp_leaves_out(shop):
    shop.run(
        wire.message("2026-05-01T10:00:00Z", bsuid="BR.1", phone="551181234567", name="Ana"),
        wire.message("2026-05-01T10:00:00Z", bsuid="MX.1", phone="5215512345678", name="Eva"),
        wire.message("2026-05-01T10:00:00Z", bsuid="AR.1", phone="5491112345678", name="Leo"),
    )
    shop.publish()
    for phone, bsuid in {
        "+55 11 98123-4567": "BR.1",
        "+55 11 8123-4567": "BR.1",
        "11 98123 4567": "BR.1",
        "+52 55 1234 5678": "MX.1",
        "+52 1 55 1234 5678": "MX.1",
        "+54 11 1234-5678": "AR.1",
        "+54 9 11 1234-5678": "AR.1",
    }.items():
        assert shop.rows(
            "select current_bsuid from marts.dim_customer inner join "
            f"marts.customer_at('P', 'phone', '{phone}', '2026-06-01') using (customer_key)"
        ) == [(bsuid,)], phone


def test_of_two_spellings_of_one_line_the_one_that_was_asked_for_is_found(shop):
    shop.run(
        wire.message("2026-05-01T10:00:00Z", bsuid="BR.1", phone="551181234567", name="Ana"),
        wire.message("2026-05-02T10:00:00Z", bsuid="BR.2", phone="5511981234567", name="Bob"),
    )
    shop.publish()
    for phone, bsuid in (("551181234567", "BR.1"), ("+55 11 98123-4567", "BR.2")):
        for source in (
            f"marts.customer_at('P', 'phone', '{phone}', '2026-06-01')",
            f"marts.conversation('P', 'phone', '{phone}')",
        ):
            assert shop.rows(
                f"select current_bsuid from marts.dim_customer inner join {source} using (customer_key)"
            ) == [(bsuid,)], (phone, source)


def test_a_username_in_any_case_and_a_bsuid_by_any_name_are_found(published):
    for kind, value in (
        ("username", "@Luna.Reis"),
        ("username", "luna.reis"),
        ("phone", "BR.2000000000000023"),
        ("username", "BR.2000000000000023"),
        ("bsuid", "BR.2000000000000023"),
        (None, "BR.2000000000000023"),
    ):
        found = published.execute(
            "from customer_at(?, ?, ?, '2026-11-01')", [PORTFOLIO, kind, value]
        ).fetchall()
        assert len(found) == 1, (kind, value)
    assert (
        published.execute(
            "from customer_at('nobody', 'username', 'luna.reis', '2026-11-01')"
        ).fetchall()
        == []
    )


def test_a_conversation_is_of_one_customer_and_shows_each_message_once(published):
    identifiers = published.execute(
        "select distinct portfolio_id, identifier_type, identifier_value from dim_customer_identifier "
        "where identifier_type <> 'parent_bsuid' order by all"
    ).fetchall()
    several = 0
    for portfolio, kind, value in identifiers:
        rows = published.execute(
            "select customer_key, message_id, occurred_at from conversation(?, ?, ?)",
            [portfolio, kind, value],
        ).fetchall()
        holders = published.execute(
            """
            select customer_key from dim_customer_identifier
            where (portfolio_id, identifier_type, identifier_value) = (?, ?, ?)
            order by is_current desc, valid_from desc
            """,
            [portfolio, kind, value],
        ).fetchall()
        assert {row[0] for row in rows} <= {holders[0][0]}, value
        assert len({row[1] for row in rows}) == len(rows)
        assert rows == sorted(rows, key=lambda row: (row[2], row[1]))
        wanted = published.execute(
            "select count(*) from fct_message where customer_key = ?", list(holders[0])
        ).fetchone()
        assert (len(rows),) == wanted
        several += len(set(holders)) > 1
    assert several


def test_the_published_key_of_a_phone_is_the_one_that_joins_the_crm(published, sample_build):
    phones = sample_build.query(
        "select phone, match_key from intermediate.int_phone__number where default_country is null"
    )
    assert len(phones) > 50
    for phone, key in phones:
        assert published.execute("select lookup.phone_key(?)", [phone]).fetchone() == (key,)
