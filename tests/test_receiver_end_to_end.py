"""Signed webhooks in by HTTP, customers out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterInstance, build_sensor_context

from orchestration.definitions import defs
from orchestration.ledger import ledger_path
from orchestration.settings import Settings
from tests.build import ROOT
from tests.receiving import RunningReceiver, webhook


def settings(folder: Path) -> dict[str, str]:
    """The environment under which everything is below `folder`."""
    return {
        "LANDING_DIR": str(folder / "landing"),
        "WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
        "PUBLISH_DIR": str(folder / "published"),
        "SEEDS_DIR": str(folder / "seeds"),
        "DAGSTER_HOME": str(folder / "dagster"),
    }


def run(folder: Path) -> None:
    """The main job, as `make run` starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "run"],
        cwd=ROOT,
        env={**os.environ, **settings(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def customers(folder: Path, columns: str) -> list[tuple]:
    published = folder / "published" / "customers.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(
            f"select {columns} from marts.dim_customer order by all"
        ).fetchall()


def copy_seeds(folder: Path) -> None:
    (folder / "seeds").mkdir()
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, folder / "seeds")


def test_signed_webhooks_become_customers(tmp_path, monkeypatch):
    """In by HTTP; the sensor sees them, the main job takes them in, and dim_customer has them."""
    copy_seeds(tmp_path)
    with RunningReceiver(tmp_path / "landing") as running:
        assert running.post(webhook(1)) == 200
        assert running.post(webhook(1)) == 200  # sent twice
        assert running.post(webhook(2)) == 200
    with monkeypatch.context() as patched:
        for name, value in settings(tmp_path).items():
            patched.setenv(name, value)
        (tmp_path / "dagster").mkdir()
        definitions = defs()
        with DagsterInstance.ephemeral() as instance:
            context = build_sensor_context(instance=instance, definitions=definitions)
            seen = definitions.resolve_sensor_def("new_webhooks").evaluate_tick(context)
    assert len(seen.run_requests) == 1
    run(tmp_path)
    assert customers(tmp_path, "current_bsuid, wa_id, profile_name, inbound_message_count") == [
        ("US.13491208655302741918", "16505551234", "Sheena Nelson", 2)
    ]


@pytest.mark.skipif("KILLED_RECEIVERS" not in os.environ, reason="make test-deep runs it")
def test_a_restore_on_an_empty_machine_gives_the_same_keys(tmp_path):
    """What docs/operations.md says to keep: landing files, seeds and the ledger."""
    lost, restored = tmp_path / "lost", tmp_path / "restored"
    lost.mkdir()
    copy_seeds(lost)
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", lost / "landing")
    with RunningReceiver(lost / "landing") as running:
        assert running.post(webhook(1)) == 200
    run(lost)
    ledger = ledger_path(Settings(publish_dir=lost / "published"))
    (restored / "published").mkdir(parents=True)
    for folder in ("landing", "seeds"):
        shutil.copytree(lost / folder, restored / folder)
    shutil.copy(ledger, restored / "published")
    run(restored)
    assert len(customers(lost, "*")) > 80
    assert customers(restored, "*") == customers(lost, "*")
