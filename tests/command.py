"""The command line as a user runs it, in a process of its own, with everything it writes below one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb

from tests.build import ROOT

# Tables that tell of publishing: when, and which keys ever were.
OF_PUBLISHING = {"publication", "identity_change_log", "customer_key_redirect"}


def new_folder(folder: Path) -> Path:
    """The reference data of the repository, and an empty landing folder."""
    (folder / "seeds").mkdir(parents=True)
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, folder / "seeds")
    (folder / "landing").mkdir()
    return folder


def copy_checkout(folder: Path) -> Path:
    """The project once more, to be broken or given away."""
    for name in ("orchestration", "dbt_project", "seeds"):
        made = shutil.ignore_patterns("target", "logs", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=made)
    return folder


def start(
    folder: Path, *arguments: str, preexec=None, root: Path = ROOT, **settings: str
) -> subprocess.Popen:
    """A command under way, of the checkout at `root`; its output are pipes."""
    environment = {
        **os.environ,
        "LANDING_DIR": str(folder / "landing"),
        "WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
        "PUBLISH_DIR": str(folder / "published"),
        "SEEDS_DIR": str(folder / "seeds"),
        "DAGSTER_HOME": str(folder / "dagster"),
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", *arguments],
        env=environment,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,
    )


def orchestration(folder: Path, *arguments: str, **settings) -> subprocess.CompletedProcess:
    """A command from its start to its end, as `start` takes it. Never may it end in a traceback."""
    process = start(folder, *arguments, **settings)
    output, errors = process.communicate(timeout=300)
    assert "Traceback" not in output + errors, output + errors
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def published(folder: Path) -> dict[str, list[tuple]]:
    """The rows of every published table that does not tell of publishing itself."""
    with duckdb.connect(str(folder / "published" / "customers.duckdb"), read_only=True) as file:
        tables = file.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall()
        return {
            name: file.execute(f"from marts.{name} order by all").fetchall()
            for (name,) in tables
            if name not in OF_PUBLISHING
        }
