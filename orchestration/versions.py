"""PUBLISH_DIR on disk: a folder for each version, and one link that says which of them readers see.

    versions/<publish_id>/customers.duckdb, parquet/<table>.parquet, ledger.duckdb
    current           -> versions/<publish_id>      the one commit point: swapped by a rename
    customers.duckdb  -> current/customers.duckdb   the names that readers know, and that stay
    parquet           -> current/parquet
    customers_masked.duckdb -> current/customers_masked.duckdb      where PUBLISH_MASKED asks for it
    customers_text.duckdb   -> current/customers_text.duckdb        where PUBLISH_TEXT does

A version is written under a hidden name, synced, renamed and then linked, so that a kill at any moment
leaves the former version or the new one, whole. The version before the current one is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.settings import Settings, UserError

CURRENT = "current"
VERSIONS = "versions"
DATABASE = "customers.duckdb"
PARQUET = "parquet"
LEDGER = "ledger.duckdb"
MASKED = "customers_masked.duckdb"
TEXT = "customers_text.duckdb"
READERS_NAMES = (DATABASE, PARQUET)
ON_REQUEST = (MASKED, TEXT)

log = logging.getLogger(__name__)


def published_path(settings: Settings) -> Path:
    """The DuckDB file as readers name it."""
    return settings.publish_dir / DATABASE


def current_version(settings: Settings) -> Path:
    """The folder that holds what readers see; it may be missing. Before `take_over`, PUBLISH_DIR itself may be it."""
    link = settings.publish_dir / CURRENT
    return link.resolve() if link.exists() else settings.publish_dir


def kept_versions(settings: Settings) -> list[Path]:
    """Every whole version on disk, the newest first."""
    folder = settings.publish_dir / VERSIONS
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if not path.name.startswith(".")), reverse=True)


def version_id(moment: datetime) -> str:
    """The name of a version (UTC): sorted by name, versions are sorted by time."""
    return moment.strftime("%Y%m%dT%H%M%S%f")


@contextmanager
def claimed(settings: Settings) -> Iterator[None]:
    """PUBLISH_DIR for this process alone, in order and of today's layout. Raises UserError.

    The claim is the kernel's: it ends with the process, however that ends.
    """
    folder = settings.publish_dir
    try:
        (folder / VERSIONS).mkdir(parents=True, exist_ok=True)
        claim = os.open(folder / VERSIONS, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"PUBLISH_DIR={folder} cannot be used ({error.strerror}): choose a folder that you "
            "may write to."
        ) from error
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        take_over(settings)
        remove_leftovers(settings)
        yield
    except BlockingIOError as error:
        raise UserError(
            f"Another process is publishing to {folder}: wait until it has finished, then publish again."
        ) from error
    finally:
        os.close(claim)


# --- Committing -----------------------------------------------------------------------------------


def new_version(settings: Settings, publish_id: str) -> Path:
    """An empty folder to write a version to. Nobody sees it before `commit`."""
    folder = settings.publish_dir / VERSIONS / f".{publish_id}"
    (folder / PARQUET).mkdir(parents=True)
    return folder


def commit(settings: Settings, written: Path) -> Path:
    """Show readers a version that was written under a hidden name; returns where it lies."""
    sync(written)
    version = written.with_name(written.name.removeprefix("."))
    os.rename(written, version)
    sync_folder(version.parent)
    for name in READERS_NAMES:
        point(settings.publish_dir / name, Path(CURRENT) / name)
    point(settings.publish_dir / CURRENT, Path(VERSIONS) / version.name)
    for name in ON_REQUEST:
        if (version / name).exists():
            point(settings.publish_dir / name, Path(CURRENT) / name)
        else:
            (settings.publish_dir / name).unlink(missing_ok=True)
    return version


def point(link: Path, target: Path) -> None:
    """Make `link` lead to `target`, a path as seen from its folder, in one step."""
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    temporary = link.with_name(f".link-{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    sync_folder(link.parent)


def sync(folder: Path) -> None:
    """Bring a folder and all that is in it to the disk."""
    for place, _, files in os.walk(folder):
        for name in files:
            descriptor = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- Keeping order --------------------------------------------------------------------------------


def take_over(settings: Settings) -> None:
    """Bring PUBLISH_DIR to this layout: a lost link is made again, and what lies under readers' names becomes a version.

    That is a former layout, or a copy that somebody put back. Readers see the same throughout.
    Raises UserError where this would touch what is not ours.
    """
    folder = settings.publish_dir
    link = folder / CURRENT
    refuse_foreign(folder)
    if not link.exists() and (kept := kept_versions(settings)):
        log.warning("%s was lost; it leads to the newest version, %s, again.", link, kept[0].name)
        point(link, Path(VERSIONS) / kept[0].name)
    if any(os.path.lexists(folder / name) and not is_ours(folder / name) for name in READERS_NAMES):
        adopt(folder, link)
    elif (folder / LEDGER).is_file() and not (link / LEDGER).exists():
        adopt(folder, link)
    if not link.exists():
        return
    parquet = folder / PARQUET
    if parquet.is_dir() and not parquet.is_symlink():
        os.rename(parquet, folder / VERSIONS / f".{PARQUET}")
    for name in READERS_NAMES:
        point(folder / name, Path(CURRENT) / name)


def is_ours(link: Path) -> bool:
    return link.is_symlink() and Path(os.readlink(link)) == Path(CURRENT) / link.name


def refuse_foreign(folder: Path) -> None:
    """Raises UserError when a name that publishing needs is taken by a folder of somebody else's."""
    for name in (CURRENT, DATABASE):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise UserError(
                f"{folder / name} is a folder, and publishing needs the name for a link: move it away, "
                "then publish again."
            )
    parquet = folder / PARQUET
    if parquet.is_dir() and not parquet.is_symlink():
        ours = {file.name for file in (folder / CURRENT / PARQUET).glob("*.parquet")} | {
            f"{name}.parquet" for name in published_tables(folder / DATABASE)
        }
        foreign = sorted(path.name for path in parquet.iterdir() if path.name not in ours)
        if foreign:
            raise UserError(
                f"{parquet} is a folder with {foreign[0]}, which was not published, and publishing needs the "
                "name for a link: move the folder away, then publish again."
            )


def published_tables(database: Path) -> list[str]:
    """The tables in a published file; none where it is missing or cannot be read."""
    if not database.is_file():
        return []
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            rows = connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'marts'"
            )
            return [name for (name,) in rows.fetchall()]
    except duckdb.Error:
        return []


def adopt(folder: Path, link: Path) -> None:
    """Make a version of what readers see. Files are shared with it, not copied."""
    former = folder / VERSIONS / f".{version_id(datetime.now(UTC))}"
    (former / PARQUET).mkdir(parents=True)
    for name in (DATABASE, LEDGER, f"{LEDGER}.wal"):
        source = folder / name if (folder / name).is_file() else link / name
        if source.is_file():
            share(source, former / name)
    for source in (folder / PARQUET).glob("*.parquet"):
        share(source, former / PARQUET / source.name)
    sync(former)
    version = former.with_name(former.name.removeprefix("."))
    os.rename(former, version)
    point(link, Path(VERSIONS) / version.name)


def share(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system knows no such thing."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def remove_leftovers(settings: Settings) -> None:
    """Remove what a killed publish wrote and never showed, and all versions but the current one and the one before."""
    folder = settings.publish_dir
    for path in (folder / VERSIONS).glob(".*"):
        remove(path)
    if not (folder / CURRENT).exists():
        return
    current = current_version(settings).name
    older = [version for version in kept_versions(settings) if version.name < current]
    for version in kept_versions(settings):
        if version.name != current and version not in older[:1]:
            remove(version)
    # what is left of the former layout once it was taken over
    taken = folder / LEDGER
    for version in kept_versions(settings):
        if taken.is_file() and (version / LEDGER).exists() and taken.samefile(version / LEDGER):
            taken.unlink()
            taken.with_name(f"{LEDGER}.wal").unlink(missing_ok=True)
    for path in (*folder.glob(f".{PARQUET}-*"), *folder.glob(".*.duckdb*")):
        remove(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
