"""A warehouse and what was published by earlier code: today's takes both over, and every key leads where it led.

The earlier code is taken from the history of this repository and runs in this environment.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import duckdb
import pytest

from tests.build import ROOT
from tests.command import orchestration

pytestmark = pytest.mark.skipif("UPGRADES" not in os.environ, reason="make test-deep runs it")

# The first commit that told how to run it, and the last one before islands: their keys are made without the WhatsApp
# account, their warehouse and published folder have another layout.
OTHER_KEYS = ("28f312804ef9", "54db6aa0e6c9")
# The first commit with keys as they are: published into a folder per version.
SAME_KEYS = "5fcc86242c1a"


def former(commit: str, folder: Path) -> Path:
    """What `commit` made of its own sample, below `folder`. Skips where the clone does not reach back so far."""
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"The commit {commit} is not in this clone: git fetch --unshallow")
    checkout = folder / "checkout"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(checkout, filter="data")
    shutil.copytree(checkout / "seeds" / "sample" / "webhooks", folder / "landing")
    (folder / "seeds").mkdir()
    for path in (checkout / "seeds").glob("*.csv"):
        shutil.copy(path, folder / "seeds")
    (folder / "dagster").mkdir()
    ran = orchestration(folder, "run", root=checkout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def customers(folder: Path) -> dict[str, list]:
    """customer_key -> what they go by."""
    with duckdb.connect(str(folder / "published" / "customers.duckdb"), read_only=True) as file:
        rows = file.execute(
            "select customer_key, current_bsuid, wa_id, username from marts.dim_customer"
        ).fetchall()
    return {key: row for key, *row in rows}


def redirects(folder: Path) -> dict[str, str]:
    with duckdb.connect(str(folder / "published" / "customers.duckdb"), read_only=True) as file:
        return dict(
            file.execute(
                "select old_customer_key, customer_key from marts.customer_key_redirect"
            ).fetchall()
        )


def test_keys_stay(tmp_path):
    folder = former(SAME_KEYS, tmp_path)
    before = customers(folder)
    assert len(before) > 80
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert customers(folder) == before


@pytest.mark.parametrize("commit", OTHER_KEYS)
def test_keys_of_before_lead_to_the_new_ones_once_a_person_said_so(tmp_path, commit):
    folder = former(commit, tmp_path)
    before = customers(folder)
    assert len(before) > 80
    done = orchestration(folder, "run")
    assert done.returncode == 1
    assert "an earlier version made keys otherwise" in done.stderr
    assert "make publish FORCE=1" in done.stderr
    assert customers(folder) == before  # readers have what they had
    done = orchestration(folder, "publish", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    now, lead = customers(folder), redirects(folder)
    assert len(now) == len(before)
    assert {key: now[lead[key]] for key in before} == before
