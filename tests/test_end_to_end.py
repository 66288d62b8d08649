"""The main job as a user starts it: from the sample to the published file, and what goes wrong on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import duckdb
import pytest

from tests.build import ROOT


def orchestration(folder, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    """Run the command line with everything it writes below `folder`."""
    environment = {
        **os.environ,
        "LANDING_DIR": str(folder / "landing"),
        "WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
        "PUBLISH_DIR": str(folder / "published"),
        "SEEDS_DIR": str(folder / "seeds"),
        "DAGSTER_HOME": str(folder / "dagster"),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "orchestration", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "seeds").mkdir()
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, folder / "seeds")
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", folder / "landing")
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
    with duckdb.connect(
        str(folder / "published" / "customers.duckdb"), read_only=True
    ) as published:
        assert published.execute("select count(*) from marts.dim_customer").fetchone() == (85,)
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
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "business_accounts.csv is missing"),
        ("waba_id,portfolio_id\n1,2\n", "line 1 lacks the column business_name"),
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
    assert "Traceback" not in done.stderr


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
    assert "warehouse.duckdb" in done.stderr
    assert "Traceback" not in done.stderr
