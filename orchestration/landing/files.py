"""Finding landing files and reading their decompressed bytes."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

SUFFIXES = (".json", ".jsonl", ".ndjson")
COMPRESSIONS = {"": None, ".gz": "gzip", ".zst": "zstd"}

# Large enough that the cost per block vanishes, small enough to stay in the processor's cache.
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LandingFile:
    """A file below LANDING_DIR, as it was when the directory was read."""

    name: str  # path below LANDING_DIR, with forward slashes
    path: str
    size_bytes: int  # on disk
    modified_at: int  # microseconds since 1970 UTC
    is_document: bool  # .json: one JSON document; otherwise one record per line
    compression: str | None  # gzip, zstd


@dataclass(slots=True)
class Listing:
    """What is below LANDING_DIR."""

    files: list[LandingFile] = field(default_factory=list)  # by name
    ignored: int = 0  # files with other endings
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> why


def list_files(root: Path) -> Listing:
    """All landing files below a directory, in order of their names.

    Links are followed; a directory that is reached twice counts once, under its real place if that
    is below `root`. Names that begin with a dot (a tool's, or a transfer under way) are left out.
    """
    listing = Listing()
    seen = set()
    linked: list[tuple[str, str]] = []
    waiting = [(str(root), "")]
    while waiting or linked:
        path, name = waiting.pop() if waiting else linked.pop()
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                children = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            listing.unreadable[name or "."] = error.strerror or str(error)
            continue
        for child in children:
            if child.name.startswith("."):
                continue
            child_name = name + os.fsencode(child.name).decode(errors="backslashreplace")
            if child.is_dir():
                queue = linked if child.is_symlink() else waiting
                queue.append((child.path, child_name + "/"))
            else:
                _add_file(listing, child, child_name)
    listing.files.sort(key=lambda file: file.name)
    return listing


def _add_file(listing: Listing, entry: os.DirEntry[str], name: str) -> None:
    stem, suffix = os.path.splitext(entry.name.lower())
    compression = ""
    if suffix in COMPRESSIONS:
        compression, suffix = suffix, os.path.splitext(stem)[1]
    if suffix not in SUFFIXES:
        listing.ignored += 1
        return
    try:
        status = entry.stat()
    except OSError as error:
        listing.unreadable[name] = error.strerror or str(error)
        return
    if not stat.S_ISREG(status.st_mode):
        listing.unreadable[name] = "It is not a regular file"
        return
    listing.files.append(
        LandingFile(
            name=name,
            path=entry.path,
            size_bytes=status.st_size,
            modified_at=status.st_mtime_ns // 1000,
            is_document=suffix == ".json",
            compression=COMPRESSIONS[compression],
        )
    )


def open_content(file: LandingFile) -> BinaryIO:
    """The decompressed content; reading a broken or cut-off archive raises OSError."""
    if file.compression is None:
        return open(file.path, "rb", buffering=0)
    return pa.input_stream(file.path, compression=file.compression, buffer_size=BLOCK_BYTES)


def read_exactly(content: BinaryIO, count: int) -> Iterator[bytes]:
    """The next `count` bytes in blocks; fewer at the end of the content."""
    while count and (block := content.read(min(count, BLOCK_BYTES))):
        count -= len(block)
        yield block
