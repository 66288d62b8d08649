"""The main job as a user starts it: from the sample to the published file, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from tests.build import ROOT
from tests.command import new_folder, orchestration, published, start


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = new_folder(tmp_path_factory.mktemp("user"))
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", folder / "landing", dirs_exist_ok=True)
    return folder


def materialised(folder) -> set[str]:
    """What Dagster recorded as built, as slash-joined asset keys."""
    from dagster import AssetKey, DagsterInstance

    with DagsterInstance.from_config(str(folder / "dagster")) as instance:
        return {AssetKey.to_user_string(key) for key in instance.all_asset_keys()}


def test_a_run_builds_every_asset_publishes_and_a_second_one_does_nothing(folder):
    seeds = {path: path.read_bytes() for path in (folder / "seeds").iterdir()}
    first = orchestration(folder, "run")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "365 records, 3 rejected" in first.stdout
    from orchestration.definitions import defs

    expected = {key.to_user_string() for asset in defs().assets for key in asset.keys}
    assert materialised(folder) == expected
    assert len(published(folder)["dim_customer"]) == 85
    second = orchestration(folder, "run")
    assert second.returncode == 0
    assert "Nothing is new" in second.stdout
    # dbt would overwrite CSVs that it is pointed at outside its project
    assert {path: path.read_bytes() for path in (folder / "seeds").iterdir()} == seeds


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"LANDING_DIRS": "/somewhere"},
            "LANDING_DIRS is not a setting: the nearest one is LANDING_DIR",
        ),
        ({"LANDING_DIR": "/nowhere/at/all"}, "LANDING_DIR=/nowhere/at/all does not exist"),
        ({"DUCKDB_THREADS": "many"}, "DUCKDB_THREADS=many is not usable"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_the_cure(folder, settings, sentence):
    done = orchestration(folder, "run", **settings)
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "business_accounts.csv is missing"),
        ("waba_id,portfolio_id\n1,2\n", "line 1 lacks the column business_name, default_country"),
        (
            "waba_id,portfolio_id,business_name,default_country,valid_from,valid_to,"
            "contact_book_from,contact_book_to\n1,2,Shop,BR,soon,,,\n",
            "line 2: valid_from is 'soon'",
        ),
        (
            "waba_id,portfolio_id,business_name,default_country,valid_from,valid_to,"
            "contact_book_from,contact_book_to\n1,2,Shop,BR,,,,\n1,3,Shop,BR,,,,\n",
            "lines 2 and 3 map WABA 1 at the same time",
        ),
    ],
)
def test_a_malformed_seed_names_file_line_and_cure(folder, tmp_path, content, sentence):
    seeds = tmp_path / "seeds"
    shutil.copytree(folder / "seeds", seeds)
    accounts = seeds / "business_accounts.csv"
    if content is None:
        accounts.unlink()
    else:
        accounts.write_text(content)
    done = orchestration(folder, "run", SEEDS_DIR=str(seeds))
    assert done.returncode == 1
    assert sentence in done.stderr


def test_a_locked_warehouse_is_told(folder):
    (folder / "landing" / "new.jsonl").write_text("")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()",
            str(folder / "warehouse.duckdb"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        holder.stdout.readline()
        done = orchestration(folder, "run")
    finally:
        holder.kill()
        holder.wait()
    assert done.returncode == 1
    assert "is open in another program" in done.stderr


def test_files_that_cannot_be_read_are_left_out_and_named(folder):
    torn = folder / "landing" / "torn.jsonl.gz"
    torn.write_bytes(b"\x1f\x8b\x08\x00torn")
    done = orchestration(folder, "run")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Left out: torn.jsonl.gz: " in done.stdout
    again = orchestration(folder, "run")
    assert again.returncode == 3
    assert "Nothing is new" in again.stdout and "Left out: torn.jsonl.gz: " in again.stdout
    torn.unlink()
    assert orchestration(folder, "run").returncode == 0


def test_a_run_that_only_adds_and_one_that_is_asked_to_rebuild_publish_the_same(folder):
    before = published(folder)
    rebuilt = orchestration(folder, "run", "--full-refresh")
    assert "rebuilding: asked to" in rebuilt.stdout
    assert published(folder) == before


def test_two_runs_at_once_wait_for_each_other(folder):
    """A second run waits, says for whom, and finds nothing left to do; so does a publish."""
    from orchestration.lock import locked
    from orchestration.settings import Settings

    settings = Settings(
        warehouse_path=folder / "warehouse.duckdb", publish_dir=folder / "published"
    )
    with locked(settings):
        second, publishing = start(folder, "run"), start(folder, "publish")
        for process in (second, publishing):
            line = process.stdout.readline()
            assert f"Waiting for process {os.getpid()} " in line
            assert process.poll() is None
    for process in (second, publishing):
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, output + errors


def test_who_stops_reading_stops_no_run(folder):
    run = start(folder, "run", "--full-refresh")
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == ""
    assert run.wait(120) == 0


def test_a_full_disk_is_told_and_forgotten_once_there_is_room(folder):
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))

    before = published(folder)
    (folder / "landing" / "more.jsonl").write_text(
        json.dumps({"object": "whatsapp_business_account", "entry": []}) + "\n"
    )
    process = start(folder, "run", preexec=small_files)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in errors and "Error: " in errors
    assert published(folder) == before
    assert orchestration(folder, "run").returncode == 0


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        ("published/customers.duckdb", "move it away"),
        ("published/current/ledger.duckdb", "move it away"),
        ("warehouse.duckdb", "is not a DuckDB database"),
    ],
)
def test_a_damaged_file_is_named_with_the_cure(folder, breaks, sentence):
    path = folder / breaks
    named = path.resolve() if "current" in breaks else path
    kept = path.read_bytes()
    try:
        path.write_bytes(b"not a database at all" * 1000)
        done = orchestration(folder, "run")
    finally:
        path.write_bytes(kept)
    assert done.returncode == 1
    assert str(named) in done.stderr and sentence in done.stderr, done.stderr


def test_another_landing_folder_does_not_enter_the_warehouse(folder, tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}\n")
    done = orchestration(folder, "run", LANDING_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"was made from {folder / 'landing'}" in done.stderr
    moved = tmp_path / "moved"
    shutil.copytree(folder / "landing", moved)
    assert orchestration(folder, "run", LANDING_DIR=str(moved)).returncode == 0
    assert orchestration(folder, "run").returncode == 0


def test_the_sample_enters_no_other_place(folder, tmp_path):
    done = orchestration(folder, "run", LANDING_DIR="")
    assert done.returncode == 1
    assert "LANDING_DIR is not, so the invented customers of the sample" in done.stderr


def test_the_doctor_tells_all_that_would_stop_a_run(folder, tmp_path):
    assert orchestration(folder, "doctor").returncode == 0
    (tmp_path / "file").write_text("")
    done = orchestration(
        folder,
        "doctor",
        LANDING_DIR=str(tmp_path / "file"),
        PUBLISH_DIR=str(tmp_path / "file"),
        SEEDS_DIR=str(tmp_path),
    )
    assert done.returncode == 1
    assert "LANDING_DIR" in done.stdout and "is a file" in done.stdout
    assert "PUBLISH_DIR" in done.stdout
    assert "business_accounts.csv is missing" in done.stdout
    assert "identity_overrides.csv is missing" in done.stdout


def test_a_quote_in_a_path_is_a_letter_like_others(tmp_path):
    folder = new_folder(tmp_path / "Ana's")
    (folder / "landing" / "a.jsonl").write_text("{}\n")
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_full_disk_left_of_a_new_warehouse_stops_nobody(tmp_path):
    folder = new_folder(tmp_path / "full")
    (folder / "landing" / "a.jsonl").write_text("{}\n")
    (folder / "warehouse.duckdb").touch()
    assert "would work" in orchestration(folder, "doctor").stdout
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
