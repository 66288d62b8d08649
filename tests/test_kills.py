"""A run killed at any moment: the next one completes without a hand, and publishes what an undisturbed one does.

Three kills here; `make test-deep` makes a hundred.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.build import ROOT
from tests.command import new_folder, orchestration, published, start

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
IN_A_ROW = 5

WEBHOOKS = [
    path
    for path in sorted((ROOT / "seeds" / "sample" / "webhooks").rglob("*"))
    if path.is_file() and not path.name.startswith(".")
]


def deliver(folder, paths) -> None:
    for path in paths:
        place = folder / "landing" / path.relative_to(ROOT / "seeds" / "sample" / "webhooks")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of one run over all webhooks, what it publishes, and how long it took (seconds)."""
    folder = new_folder(tmp_path_factory.mktemp("undisturbed"))
    deliver(folder, WEBHOOKS)
    started = time.monotonic()
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stderr
    return folder, published(folder), time.monotonic() - started


def test_killed_runs_are_followed_by_one_that_completes(undisturbed, tmp_path):
    _, expected, seconds = undisturbed
    chance = random.Random(SEED)
    folder = new_folder(tmp_path / "killed")
    groups = -(-KILLS // IN_A_ROW)
    kills = 0
    for group in range(groups):
        # each group of kills brings some webhooks, the last one all
        deliver(folder, WEBHOOKS[: max(1, len(WEBHOOKS) * (group + 1) // groups)])
        for _ in range(min(IN_A_ROW, KILLS - kills)):
            run = start(folder, "run")
            moment = chance.uniform(0, seconds)
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                run.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            run.communicate(timeout=10)
            kills += 1
        done = orchestration(folder, "run")
        assert done.returncode == 0, f"seed {SEED}, group {group}: {done.stdout}{done.stderr}"
    assert published(folder) == expected


def test_a_killed_rebuild_is_still_to_be_done(undisturbed):
    folder, expected, _ = undisturbed
    run = start(folder, "run", "--full-refresh")
    for line in run.stdout:
        if "rebuilding" in line:  # dbt is at it
            break
    run.kill()
    run.communicate(timeout=10)
    assert "there is work to do" in orchestration(folder, "doctor").stdout
    done = orchestration(folder, "run")
    assert done.returncode == 0 and "Nothing is new" not in done.stdout, done.stdout
    assert published(folder) == expected


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stops_at_once_in_one_sentence(sign, tmp_path):
    folder = new_folder(tmp_path / "stopped")
    deliver(folder, WEBHOOKS)
    run = start(folder, "run")
    for line in run.stdout:
        if "rebuilding" in line:  # dbt is at it
            break
    run.send_signal(sign)
    _, errors = run.communicate(timeout=5)
    assert run.returncode == 1
    assert errors == "\nStopped: what was published stays, and the next run completes.\n"
