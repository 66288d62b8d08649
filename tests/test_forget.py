"""One customer of the sample is forgotten, by the command line: from landing files to published files, for good."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from unittest.mock import Mock

import duckdb
import pyarrow as pa
import pytest

from orchestration.forget import apply
from orchestration.landing.load import load_landing_dir
from orchestration.settings import SAMPLE, Settings
from orchestration.versions import kept_versions
from orchestration.warehouse import open_warehouse
from tests.build import ROOT
from tests.command import new_folder, orchestration

# Bruna held a number until somebody else came to it; both wrote, and both stand in the sample's CRM.
BRUNA, PHONE, NAME = "BR.1000000000000028", "5511900000028", "Bruna Maia"
KEY = "6f617d2d7a202c746367f1d36581f9c5"
ORIGINAL = "acme-travel/2026-06.jsonl"


def settings_of(folder: Path) -> Settings:
    return Settings(
        landing_dir=folder / "landing",
        warehouse_path=folder / "warehouse.duckdb",
        publish_dir=folder / "published",
        seeds_dir=folder / "seeds",
        forget_key_file=folder / "forget.key",
    )


def command(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    settings |= {"FORGET_KEY_FILE": str(folder / "forget.key"), "PUBLISH_TEXT": "1"}
    return orchestration(folder, *arguments, **settings)


def digest(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def content(path: Path) -> bytes:
    if path.suffix == ".zst":
        return pa.input_stream(str(path), compression="zstd").read()
    return path.read_bytes()


def texts(database: Path) -> str:
    """Every value of a DuckDB file: its bytes may be compressed."""
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables()"
        ).fetchall()
        return "\n".join(
            str(connection.execute(f'from "{schema}"."{name}"').fetchall())
            for schema, name in tables
        )


def customer(folder: Path, key: str) -> dict[str, list[tuple]]:
    with duckdb.connect(
        str(folder / "published" / "customers.duckdb"), read_only=True
    ) as published:
        return {
            name: published.execute(
                f"from marts.{name} where customer_key = ? order by all", [key]
            ).fetchall()
            for name in (
                "dim_customer_identifier",
                "dim_customer_history",
                "fct_message",
                "identity_link",
            )
        }


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """The sample as a run leaves it: one file packed, one as a JSON document, Bruna out of the CRM."""
    folder = new_folder(tmp_path_factory.mktemp("forget"))
    landing = folder / "landing"
    shutil.copytree(SAMPLE, landing, dirs_exist_ok=True)
    packed = landing / "acme-travel" / "2026-08.jsonl"
    with pa.CompressedOutputStream(f"{packed}.zst", "zstd") as file:
        file.write(packed.read_bytes())
    packed.unlink()
    document = landing / "acme-travel" / "2026-10.jsonl"
    records = document.read_text().splitlines()
    document.with_suffix(".json").write_text("[" + ",".join(records) + "]")
    document.unlink()
    crm = folder / "seeds" / "crm_contacts.csv"
    crm.write_text(
        "".join(line.replace(NAME, "Outra Pessoa") for line in crm.open() if BRUNA not in line)
    )
    done = command(folder, "run")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def next_holder(shop) -> tuple[str, dict[str, list[tuple]]]:
    with duckdb.connect(str(shop / "published" / "customers.duckdb"), read_only=True) as published:
        (key,) = published.execute(
            "select customer_key from marts.dim_customer_identifier where identifier_value = ? and customer_key <> ?",
            [PHONE, KEY],
        ).fetchone()
    return key, customer(shop, key)


@pytest.fixture(scope="module")
def erased(shop, next_holder) -> Path:
    """The same after Bruna was forgotten."""
    assert KEY in texts(shop / "published" / "customers_text.duckdb")
    before = digest(shop / "landing")
    told = command(shop, "forget", KEY)
    assert told.returncode == 0, told.stderr
    assert "9 items in 5 records of 4 landing files" in told.stdout
    assert "crm_contacts.csv line" in told.stdout  # the number is somebody else's there
    assert digest(shop / "landing") == before
    assert not (shop / "published" / "forgotten.jsonl").exists()
    done = command(shop, "forget", "--yes", ID=BRUNA, REASON="art. 17", REQUESTED_BY="dpo")
    assert done.returncode == 0, done.stderr
    assert BRUNA not in done.stdout
    return shop


def test_no_file_is_for_others(shop):
    written = [path for part in ("published", "dagster") for path in files(shop / part)]
    written.append(shop / "warehouse.duckdb")
    assert len(written) > 20
    assert not [path for path in written if path.stat().st_mode & 0o077]


def test_no_log_or_event_of_a_run_names_anybody(shop):
    with duckdb.connect(str(shop / "published" / "customers.duckdb"), read_only=True) as published:
        known = published.execute(
            "select identifier_value from marts.dim_customer_identifier union "
            "select profile_name from marts.dim_customer where profile_name is not null"
        ).fetchall()
    assert len(known) > 100
    anybody = re.compile("|".join(re.escape(name) for (name,) in known).encode())
    for path in files(shop / "dagster"):
        assert not anybody.search(path.read_bytes()), path


def test_nothing_of_them_is_left_in_any_file(erased):
    for path in files(erased):
        assert not re.search(f"{BRUNA}|{NAME}|recycled-number.1".encode(), content(path)), path
    for database in (erased / "warehouse.duckdb", *(erased / "published").rglob("*.duckdb")):
        assert not re.search(f"{BRUNA}|recycled-number.1", texts(database)), database
    assert KEY not in texts(erased / "published" / "customers_text.duckdb")
    settings = settings_of(erased)
    assert len(kept_versions(settings)) == 1
    (entry,) = [json.loads(line) for line in (erased / "published" / "forgotten.jsonl").open()]
    assert (entry["requested_by"], entry["reason"], entry["counts"]["items"]) == (
        "dpo",
        "art. 17",
        9,
    )


def test_their_key_ends_in_erased_and_the_next_holder_is_whole(erased, next_holder):
    key, before = next_holder
    assert before["fct_message"]
    assert customer(erased, key) == before
    assert not any(customer(erased, KEY).values())
    with duckdb.connect(
        str(erased / "published" / "customers.duckdb"), read_only=True
    ) as published:
        redirects = published.execute(
            "select customer_key, reason from marts.customer_key_redirect where old_customer_key = ?",
            [KEY],
        ).fetchall()
        keys = published.execute(
            "select identifier, event_id from gate.published_key where customer_key = ?", [KEY]
        ).fetchall()
    assert redirects == [(None, "erased")]
    assert keys == [("erased", "erased")]


def test_lines_of_others_are_where_and_as_they_were(erased):
    before = (SAMPLE / ORIGINAL).read_bytes().split(b"\n")
    after = (erased / "landing" / ORIGINAL).read_bytes().split(b"\n")
    assert len(before) == len(after)
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2
    assert all(BRUNA.encode() in line for line in changed)


def test_export_tells_all_of_one_and_nothing_of_another(shop, tmp_path):
    key = "24aec8d97129986a83a724828328a273"  # Júlia, of three BSUIDs and three phones
    done = command(shop, "export", ID=key, OUT=str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out" / "customer.json").read_text())
    held = {one["identifier_value"] for one in told["identifiers"]}
    assert {"BR.3000000000000026", "5571970000026"} <= held
    assert all(one["evidence"] for one in told["identifiers"])
    assert told["messages"]
    assert told["consent"].keys() == {"marketing_opt_out", "marketing_opt_out_at"}
    items = json.dumps([one["item"] for one in told["received"]])
    assert told["received"]
    assert set(re.findall(r"[A-Z]{2}\.(?:ENT\.)?[0-9]{16}", items)) <= held
    for name in ("customer.json", "customer.html"):
        assert (tmp_path / "out" / name).stat().st_mode & 0o777 == 0o600
    assert "<script" not in (tmp_path / "out" / "customer.html").read_text()


def test_make_runs_nothing_that_stands_in_a_value(tmp_path):
    """What follows ID= or QUERY= comes to Python as it is."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s|%s|%s|%s\\n" "$ID" "$QUERY" "$LANDING_DIR" "$*"\n')
    python.chmod(0o755)
    for stamp in (".installed", ".pages", ".dev"):  # the later rests on the former
        (tmp_path / stamp).touch()
    touch = f"$(shell touch {tmp_path}/made) $$(touch {tmp_path}/made) `touch {tmp_path}/made`; touch {tmp_path}/made"
    for target in ("explain", "forget", "export", "metrics", "bench", "accuracy"):
        values = [
            f"{name}={touch}"
            for name in ("ID", "QUERY", "EVENTS", "PROFILES", "OUT", "REASON", "LANDING_DIR")
        ]
        done = subprocess.run(
            ["make", "--no-print-directory", target, f"VENV={tmp_path}", *values],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{touch}|{touch}|{touch}|"), done.stdout
        assert not (tmp_path / "made").exists(), target


def test_no_delivery_no_backup_and_no_kill_brings_them_back(erased, monkeypatch):
    """One more delivery is loaded without them; a landing file that was put back is refused, then cleaned."""
    settings = settings_of(erased)
    shutil.copy(SAMPLE / ORIGINAL, erased / "landing" / "again.jsonl")
    shutil.copy(SAMPLE / ORIGINAL, erased / "landing" / ORIGINAL)
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings)
        assert result.rejected_parts == {"forgotten": 4}
        assert list(result.left_out) == [ORIGINAL]
        bodies = warehouse.execute("select body from raw.webhook").fetchall()
    assert len(bodies) > 100
    assert not [text for (text,) in bodies if BRUNA in text]
    # killed when the warehouse is new and the files are old
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("orchestration.forget.put_in_place", Mock(side_effect=KeyboardInterrupt))
        apply(settings, print, rebuild=lambda _: None)
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings)
        assert (result.left_out, result.rejected_parts) == ({}, {"forgotten": 8})
        bodies = warehouse.execute("select body from raw.webhook").fetchall()
    assert not [text for (text,) in bodies if BRUNA in text]
    apply(settings, print, rebuild=lambda _: None)
    assert not list(erased.rglob(".forget-*"))
    for path in files(erased / "landing"):
        assert BRUNA.encode() not in content(path)
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings)
        assert result.left_out == {}
        assert result.new > 0
