"""Whether there is anything to do: the command line, the sensor and the schedule ask here.

A run writes down what it began with, and that this is done when it has published. What arrives
meanwhile, or in a run that fails, is therefore still to be done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from orchestration.landing.files import list_files
from orchestration.settings import REPOSITORY, Settings

SOURCES = ("dbt_project/models", "dbt_project/macros", "dbt_project/plugins", "orchestration")
# Of no consequence to what is published.
ASIDE = {
    "file_umask",
    "force",
    "notify_email",
    "notify_slack_url",
    "notify_smtp_url",
    "retention_days",
    "show_pii",
}


def state(settings: Settings) -> str:
    """A digest of all that a run depends on: landing files, seeds, sources and settings."""
    digest = hashlib.sha256()
    listing = list_files(settings.landing_dir)
    for file in listing.files:
        digest.update(repr(file).encode())
    digest.update(repr(listing.unreadable).encode())
    sources = [*settings.seeds_dir.glob("*.csv"), REPOSITORY / "dbt_project" / "dbt_project.yml"]
    for folder in SOURCES:
        sources += (REPOSITORY / folder).rglob("*.*")
    for path in sorted(path for path in sources if "__pycache__" not in path.parts):
        digest.update(f"{path}{path.stat().st_mtime_ns}".encode())
    digest.update(settings.model_dump_json(exclude=ASIDE).encode())
    return digest.hexdigest()


def pending(settings: Settings) -> str | None:
    """What a run would begin with now, as a digest; None when the last one published just that."""
    done = _read(settings)
    now = state(settings)
    changed = {name: _changed_at(settings, name) for name in done.get("left_out", {})}
    published = settings.publish_dir / "customers.duckdb"
    if (
        settings.warehouse_path.exists()
        and published.exists()
        and done.get("state") == now
        and done.get("changed_at") == changed
    ):
        return None
    return hashlib.sha256(f"{now}{changed}".encode()).hexdigest()


def left_out(settings: Settings) -> dict[str, str]:
    """What the last run that published could not take in: name below LANDING_DIR -> why."""
    return _read(settings).get("left_out", {})


def landed(settings: Settings, began_with: str, left_out: Mapping[str, str]) -> None:
    """A run began with this `state` and could not take these files in; true of what is published after `finish`."""
    record = {
        "state": began_with,
        "left_out": dict(left_out),
        # a file is tried again when its content or its rights change
        "changed_at": {name: _changed_at(settings, name) for name in left_out},
    }
    path = _path(settings, "this")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def finish(settings: Settings) -> None:
    """The run that landed last has published."""
    if _path(settings, "this").exists():
        os.replace(_path(settings, "this"), _path(settings, "last"))


def forget(settings: Settings) -> None:
    """There is work to do, whatever the last run published."""
    _path(settings, "last").unlink(missing_ok=True)


def _read(settings: Settings) -> dict:
    try:
        return json.loads(_path(settings, "last").read_text())
    except (OSError, ValueError):
        return {}


def _changed_at(settings: Settings, name: str) -> int:
    try:
        return os.lstat(settings.landing_dir / name).st_ctime_ns
    except OSError:
        return 0


def _path(settings: Settings, run: str) -> Path:
    return settings.publish_dir / f".{run}_run.json"
