"""A disk that fills up, folders without access, and commands that meet: one sentence each, and the next run completes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.build import ROOT
from tests.command import new_folder, orchestration, start

ROOM = 200 << 20
NOBODY = 65534
# of linux/prctl.h and linux/capability.h
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the first files of the sample were published."""
    folder = new_folder(tmp_path_factory.mktemp("faults"))
    shutil.copytree(
        ROOT / "seeds" / "sample" / "webhooks" / "acme-travel", folder / "landing" / "acme-travel"
    )
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def something_new(folder: Path) -> None:
    with (folder / "landing" / "new.jsonl").open("a") as file:
        file.write('{"object":"whatsapp_business_account","entry":[]}\n')


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take all room that is left, and whatever is given back, until the file is taken away."""
    with (disk / "filler").open("ab", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("WAREHOUSE_PATH", "warehouse.duckdb"),
        ("PUBLISH_DIR", "published"),
        ("DAGSTER_HOME", "dagster"),
    ],
)
def test_a_full_disk_is_one_sentence_and_the_next_run_completes(folder, small_disk, setting, place):
    there = small_disk / place
    kept = folder / place
    shutil.copytree(kept, there, symlinks=True) if kept.is_dir() else shutil.copy(kept, there)
    something_new(folder)
    run = start(folder, "run", "--full-refresh", **{setting: str(there)})
    for line in run.stdout:
        if "rebuilding: " in line:
            break
    fill(small_disk)
    output, errors = run.communicate(timeout=120)
    assert "Traceback" not in output + errors
    assert run.returncode == 1, output
    assert len(errors.strip().splitlines()) == 1 and errors.startswith("\nError: "), errors
    (small_disk / "filler").unlink()
    done = orchestration(folder, "run", **{setting: str(there)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize("place", ["landing", "published", "dagster", "warehouse.duckdb", "seeds"])
def test_without_access_it_says_so_in_a_sentence(folder, place):
    """What belongs to somebody else, for a root that may not do everything."""

    def give_up_rights() -> None:
        libc = ctypes.CDLL(None)
        for right in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAPBSET_DROP, right, 0, 0, 0)

    something_new(folder)
    path = folder / place
    mode = path.stat().st_mode
    path.chmod(mode & 0o7700)
    os.chown(path, NOBODY, NOBODY)
    try:
        run = start(folder, "run", preexec=give_up_rights)
        output, errors = run.communicate(timeout=120)
    finally:
        os.chown(path, 0, 0)
        path.chmod(mode)
    assert "Traceback" not in output + errors, errors
    assert run.returncode == 1, output
    assert str(path) in errors and "\n" not in errors.strip(), errors
