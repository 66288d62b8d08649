"""The dbt project as Dagster and the command line run it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from dagster_dbt import DbtProject

from orchestration.settings import REPOSITORY, Settings, UserError

FOLDER = REPOSITORY / "dbt_project"
# The dbt of this environment, wherever PATH points.
DBT = Path(sys.executable).with_name("dbt")
SOURCES = ("models", "macros", "tests", "dbt_project.yml", "profiles.yml")


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt needs to know of the settings; its seeds are the staged copies."""
    return {
        "WAREHOUSE_PATH": str(settings.warehouse_path),
        "DUCKDB_THREADS": str(settings.duckdb_threads),
        "DUCKDB_MEMORY_LIMIT": settings.duckdb_memory_limit,
        "DBT_SEEDS_DIR": ".seeds" if (FOLDER / ".seeds").is_dir() else "../seeds",
        "DBT_MACROS_DIGEST": macros_digest(),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def macros_digest() -> str:
    """Changes with any macro or plugin: dbt knows the checksums of models only, and a changed one means a rebuild."""
    digest = hashlib.sha256()
    for path in sorted([*(FOLDER / "macros").rglob("*.sql"), *(FOLDER / "plugins").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build_arguments() -> list[str]:
    """The one dbt invocation of a run. Unit tests prove the SQL, not the data: `make test` runs them."""
    return ["build", "--exclude-resource-type", "unit_test"]


def newest(folder: Path) -> float:
    """When any source of the project last changed (seconds since 1970)."""
    paths = (folder / name for name in SOURCES)
    files = (f for path in paths for f in ([path] if path.is_file() else path.rglob("*")))
    return max(file.stat().st_mtime for file in files)


@cache
def dbt_project() -> DbtProject:
    """The project with a manifest that is as new as its sources: parsed here when it is not."""
    project = DbtProject(FOLDER, profiles_dir=FOLDER)
    manifest = project.manifest_path
    if not manifest.exists() or manifest.stat().st_mtime < newest(FOLDER):
        done = subprocess.run(
            [DBT, "parse", "--quiet", "--project-dir", FOLDER, "--profiles-dir", FOLDER],
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UserError(f"dbt cannot read dbt_project: {done.stdout.strip()[-2000:]}")
        manifest.touch()
    return project
