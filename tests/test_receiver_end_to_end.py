"""Signed webhooks in by HTTP, customers out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import duckdb
from dagster import DagsterInstance, build_sensor_context

from orchestration.definitions import defs
from tests.build import ROOT
from tests.receiving import RunningReceiver, webhook


def test_signed_webhooks_become_customers(tmp_path, monkeypatch):
    """In by HTTP; the sensor sees them, the main job takes them in, and dim_customer has them."""
    landing = tmp_path / "landing"
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, seeds)
    environment = {
        "LANDING_DIR": str(landing),
        "WAREHOUSE_PATH": str(tmp_path / "warehouse.duckdb"),
        "PUBLISH_DIR": str(tmp_path / "published"),
        "SEEDS_DIR": str(seeds),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    with RunningReceiver(landing) as running:
        assert running.post(webhook(1)) == 200
        assert running.post(webhook(1)) == 200  # sent twice
        assert running.post(webhook(2)) == 200
    with monkeypatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        (tmp_path / "dagster").mkdir()
        definitions = defs()
        with DagsterInstance.ephemeral() as instance:
            context = build_sensor_context(instance=instance, definitions=definitions)
            seen = definitions.resolve_sensor_def("new_webhooks").evaluate_tick(context)
    assert len(seen.run_requests) == 1
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "run"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    published = tmp_path / "published" / "customers.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        customers = connection.execute(
            "select current_bsuid, wa_id, profile_name, inbound_message_count from marts.dim_customer"
        ).fetchall()
    assert customers == [("US.13491208655302741918", "16505551234", "Sheena Nelson", 2)]
