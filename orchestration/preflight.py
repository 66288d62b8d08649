"""Whether a run would work: every path, seed, variable and lock, looked at before anything is built."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import yaml

from orchestration.landing import check_folder
from orchestration.landing.forgotten import read_forgotten
from orchestration.ledger import ledger_path
from orchestration.lock import holder
from orchestration.seeds import read_seeds
from orchestration.settings import DATA, REPOSITORY, SAMPLE, Settings, UserError
from orchestration.versions import DATABASE, LEDGER, VERSIONS, published_path
from orchestration.warehouse import WarehouseError, open_warehouse, was_never_written

DBT_PROJECT = REPOSITORY / "dbt_project"
# Room for DuckDB's and Dagster's own files, beside a copy of what is published.
SPARE_BYTES = 64 << 20
DUCKDBS_OWN = ("main", "memory", "system", "temp")


def problems(settings: Settings) -> list[str]:
    """A sentence for each thing that would stop a run, with its cure."""
    return [
        *sample_among_others(settings),
        *landing(settings),
        *folders(settings),
        *files(settings),
        *forgotten(settings),
        *seeds(settings),
        *variables(DBT_PROJECT),
    ]


def sample_among_others(settings: Settings) -> Iterator[str]:
    """The invented customers of the sample are for data/sample, unless somebody names its folder."""
    own = {"warehouse_path", "publish_dir"}
    elsewhere = [
        f"{name.upper()}={getattr(settings, name)}"
        for name in sorted(own)
        if not getattr(settings, name).is_relative_to(DATA / "sample")
    ]
    if settings.landing_dir == SAMPLE and not os.environ.get("LANDING_DIR") and elsewhere:
        yield (
            f"{' and '.join(elsewhere)} is set and LANDING_DIR is not, so the invented customers of "
            "the sample would go there: set LANDING_DIR to the folder of your webhooks."
        )


def landing(settings: Settings) -> Iterator[str]:
    """Whether LANDING_DIR is there, has something to read, and is the folder that the warehouse was made from."""
    try:
        if settings.warehouse_path.is_file() and not holder(settings):
            with (
                contextlib.suppress(WarehouseError),
                open_warehouse(settings, read_only=True) as warehouse,
            ):
                check_folder(warehouse, settings)
        else:
            check_folder(None, settings)
    except UserError as error:
        yield str(error)


def folders(settings: Settings) -> Iterator[str]:
    """Whether what a run writes can be written where it goes, and fits."""
    published = settings.publish_dir / "customers.duckdb"
    needed = SPARE_BYTES + (published.stat().st_size if published.is_file() else 0)
    home = Path(os.environ.get("DAGSTER_HOME") or DATA / "dagster")
    for name, folder in (
        ("WAREHOUSE_PATH", settings.warehouse_path.parent),
        ("PUBLISH_DIR", settings.publish_dir),
        ("DAGSTER_HOME", home),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            yield f"{name}: {there} is a file where a folder is needed: choose another path."
        elif not os.access(there, os.W_OK | os.X_OK):
            yield f"{name}: {there} cannot be written: give yourself write access, or choose another path."
        elif (free := shutil.disk_usage(there).free) < needed:
            yield (
                f"{name}: there are {free >> 20} MB free at {there} and {needed >> 20} MB are needed: "
                "make room."
            )


def files(settings: Settings) -> Iterator[str]:
    """Whether the files of former runs can be opened. Somebody else's run may hold them now."""
    name = settings.warehouse_path.stem
    if name.lower() in DUCKDBS_OWN or set(name) & {"'", '"'}:
        yield (
            f"WAREHOUSE_PATH={settings.warehouse_path}: DuckDB and dbt call the warehouse by the name of its file, and "
            f"{name} is none for one: choose another, such as warehouse.duckdb."
        )
    if holder(settings):
        return
    warehouse, published = settings.warehouse_path.resolve(), settings.publish_dir.resolve()
    ours = {(published / name).resolve() for name in (DATABASE, LEDGER)}
    if warehouse in ours or warehouse.is_relative_to(published / VERSIONS):
        yield (
            f"WAREHOUSE_PATH={settings.warehouse_path} is a file that is published: the warehouse is for no reader; "
            "choose a path outside of PUBLISH_DIR."
        )
        return
    if settings.warehouse_path.exists() and not was_never_written(settings.warehouse_path):
        try:
            with open_warehouse(settings, read_only=True):
                pass
        except UserError as error:
            yield str(error)
    for path, cure in (
        (published_path(settings), "move it away, and the run publishes it anew"),
        (ledger_path(settings), "move it away, and the run takes its copy in the published file"),
    ):
        if not path.exists():
            continue
        try:
            duckdb.connect(str(path), read_only=True).close()
        except duckdb.Error as error:
            yield f"{path} cannot be opened ({str(error).splitlines()[0]}): {cure}."


def forgotten(settings: Settings) -> Iterator[str]:
    """Whether those who were forgotten can be told from others."""
    try:
        read_forgotten(settings)
    except UserError as error:
        yield str(error)
    except OSError as error:
        yield f"{error.filename} cannot be read ({error.strerror}): give yourself access to it."


def seeds(settings: Settings) -> Iterator[str]:
    try:
        read_seeds(settings)
    except UserError as error:
        yield str(error)


def variables(project: Path) -> Iterator[str]:
    """The `vars` of dbt_project.yml: those that some model reads, each of the kind that its name tells."""
    path = project / "dbt_project.yml"
    try:
        known = yaml.safe_load(path.read_text()).get("vars") or {}
    except (yaml.YAMLError, AttributeError) as error:
        yield f"{path} is not YAML ({' '.join(str(error).split())}): correct it."
        return
    read = {
        name
        for folder in ("models", "macros", "tests")
        for file in (project / folder).rglob("*.*")
        if file.suffix in (".sql", ".py", ".yml")
        for name in re.findall(r"\bvar\(\s*['\"](\w+)['\"]", file.read_text())
    }
    for name, value in known.items():
        if name not in read:
            nearest = difflib.get_close_matches(name, read - set(known), 1, 0.6)
            yield f"{path}: no model reads the variable {name}: " + (
                f"it is called {nearest[0]}." if nearest else "remove it."
            )
        elif not _fits(name, value):
            yield f"{path}: the variable {name} is {value!r}: write {_kind(name)}."
    for name in sorted(read - set(known)):
        yield f"{path} lacks the variable {name}: add it to `vars`."


def _kind(name: str) -> str:
    if name.endswith(("_days", "_hours", "_customers")):
        return "a whole number, 0 or more"
    if name.endswith("_share"):
        return "a share from 0 to 1, such as 0.01"
    return "a time, such as '2026-04-01 12:00:00' (UTC), or null"


def _fits(name: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name.endswith(("_days", "_hours", "_customers")):
        return number and value == int(value) and value >= 0
    if name.endswith("_share"):
        return number and 0 <= value <= 1
    try:
        return value is None or bool(datetime.fromisoformat(str(value)))
    except ValueError:
        return False
