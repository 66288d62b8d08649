"""The landing folder: is it there, and is it the one that the warehouse was made from?"""

import hashlib
import os
from pathlib import Path

import duckdb

from orchestration.landing.files import (
    Content,
    LandingFile,
    UnreadableFileError,
    list_files,
    read_exactly,
)
from orchestration.settings import Settings, UserError

# So much is read to see whether a folder holds the files that were loaded.
COMPARED_BYTES = 64 << 20


class LandingError(UserError):
    """The landing as a whole could not be done."""


def check_folder(connection: duckdb.DuckDBPyConnection | None, settings: Settings) -> None:
    """Whether the next load can begin; reads only, `connection` is None where no warehouse is yet.

    A warehouse belongs to the folder it was made from. The same folder at another place is known by
    its files: of those that were loaded and are there, most are as they were. Raises LandingError.
    """
    root = settings.landing_dir
    if not root.is_dir():
        problem = "is not a directory" if root.exists() else "does not exist"
        raise LandingError(
            f"LANDING_DIR={root} {problem}: set LANDING_DIR to the folder of your webhook files."
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise LandingError(f"LANDING_DIR={root} cannot be read: give yourself access to it.")
    known, former = _known(connection)
    if not known:
        listing = list_files(root)
        if not (listing.files or listing.ignored or listing.unreadable):
            raise LandingError(
                f"LANDING_DIR={root} is empty: put webhook files (.json, .jsonl, .ndjson) into it."
            )
    elif former is not None and former != _place(root) and not _is_same(root, known):
        raise LandingError(
            f"The warehouse {settings.warehouse_path} was made from {former}, and of the files that were loaded "
            f"from there most are not in LANDING_DIR={root}, or have changed: give each landing folder a "
            "WAREHOUSE_PATH and a PUBLISH_DIR of its own; if it is the same folder, moved, bring them back into it."
        )


def remember_folder(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Notes that the warehouse holds files of LANDING_DIR."""
    connection.execute("delete from raw.landing_folder")
    connection.execute("insert into raw.landing_folder values (?)", [_place(settings.landing_dir)])


def _place(root: Path) -> str:
    return os.fsencode(os.path.realpath(root)).decode(errors="backslashreplace")


def _known(
    connection: duckdb.DuckDBPyConnection | None,
) -> tuple[dict[str, tuple[int, str]], str | None]:
    """({file: (loaded bytes, their hash)}, the folder they were in) as the warehouse remembers."""
    if connection is None:
        return {}, None
    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'raw'"
    ).fetchall()
    if ("landing_file",) not in tables:
        return {}, None
    rows = connection.execute(
        "select landing_file, loaded_bytes, content_hash from raw.landing_file where loaded_bytes > 0"
    ).fetchall()
    known = {name: (size, digest) for name, size, digest in rows}
    if ("landing_folder",) not in tables:
        return known, None
    former = connection.execute("select landing_folder from raw.landing_folder").fetchone()
    return known, former[0] if former else None


def _is_same(root: Path, known: dict[str, tuple[int, str]]) -> bool:
    there = [file for file in list_files(root).files if file.name in known]
    there.sort(key=lambda file: known[file.name][0])
    compared, same = 0, []
    for file in there:
        size, digest = known[file.name]
        if same and compared + size > COMPARED_BYTES:
            break
        same.append(_digest(file, size) == digest)
        compared += size
    return 2 * sum(same) > len(same)


def _digest(file: LandingFile, size: int) -> str | None:
    digest = hashlib.sha256()
    try:
        with Content(file) as content:
            for block in read_exactly(content, size):
                digest.update(block)
    except (OSError, UnreadableFileError):
        return None
    return digest.hexdigest()
