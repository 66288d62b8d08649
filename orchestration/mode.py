"""Whether a run adds what is new or rebuilds everything: decided once, before dbt starts.

A run adds when a complete one came before it and everything that decides about rows that are there
is still the same. All others rebuild, as dbt's own `--full-refresh` does. Both give the same rows
(tests/properties proves it). `main.complete_run` in the warehouse is what the decision rests on: its
one row loses its digest when dbt starts (on-run-start in dbt_project.yml, so by hand too) and gets it
when everything was built and every check passed. A killed run is therefore followed by a rebuild.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import yaml

from orchestration.project import FOLDER
from orchestration.seeds import Seeds
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse

# Overrides and the CRM's contacts are not here: every run works out anew what hangs on them.
REFERENCE_DATA = ("business_accounts", "ignored_identifiers")
PACKAGES = ("dbt-core", "dbt-duckdb", "duckdb", "phonenumbers", "scipy")


@dataclass(frozen=True)
class Mode:
    """How this run goes: `why` says in words what makes it rebuild; load_id is the newest to be worked out.

    added_to is when the run was complete that it adds to, None when it rebuilds.
    """

    full_refresh: bool
    why: str
    digest: dict[str, str]
    load_id: int
    added_to: datetime | None


def digests(seeds: Seeds, variables: Mapping[str, object] | None) -> dict[str, str]:
    """What decides about rows that are there: what it is -> a digest of it."""
    project = yaml.safe_load((FOLDER / "dbt_project.yml").read_text())
    files = {
        kind: [path.read_text() for path in sorted((FOLDER / kind).rglob("*.*")) if is_code(path)]
        for kind in ("models", "macros", "plugins")
    }
    parts = {
        **files,
        "variables": project.pop("vars") | (variables or {}),
        "the configuration of dbt": project,
        "reference data": [seeds.get(name, ()) for name in REFERENCE_DATA],
        "versions": [version(package) for package in PACKAGES],
    }
    return {
        name: hashlib.sha256(json.dumps(part, default=str).encode()).hexdigest()
        for name, part in parts.items()
    }


def is_code(path: Path) -> bool:
    """Descriptions and tests beside the models decide about no row."""
    return path.suffix in (".sql", ".py")


def decide(
    settings: Settings,
    seeds: Seeds,
    *,
    full_refresh: bool = False,
    variables: Mapping[str, object] | None = None,
) -> Mode:
    """Look at how the last run ended and at what changed since; `seeds` and `variables` as dbt gets them.

    Raises UserError when the warehouse cannot be read.
    """
    now = digests(seeds, variables) | {"the engine": settings.dbt_target}
    with open_warehouse(settings) as warehouse:
        (load_id,) = warehouse.execute("select coalesce(max(load_id), 0) from raw.load").fetchone()
        row = warehouse.execute("select digest, completed_at from main.complete_run").fetchone()
    if full_refresh:
        why = "asked to"
    elif settings.dbt_target == "spark":
        why = "Spark adds nothing"
    elif row is None:
        why = "there was no complete run yet"
    elif row[0] is None:
        why = "the last run did not complete"
    else:
        then = json.loads(row[0])
        why = ", ".join(name for name in now if now[name] != then.get(name))
        why = why and f"changed since the last run: {why}"
    return Mode(bool(why), why, now, load_id, None if why else row[1])


def remember(settings: Settings, mode: Mode) -> None:
    """This run is complete: everything was built, and every check passed."""
    with open_warehouse(settings) as warehouse:
        warehouse.execute("begin")
        warehouse.execute("delete from main.complete_run")
        warehouse.execute(
            "insert into main.complete_run by name select ? as digest, ? as load_id, ? as is_rebuilt, "
            "now()::timestamp as completed_at, ?::timestamp as added_to",
            [json.dumps(mode.digest), mode.load_id, mode.full_refresh, mode.added_to],
        )
        warehouse.execute("commit")
