"""Finding landing files and reading their content: unpacked, in UTF-8, its lines ended by line feeds.

What a file is, its first bytes tell, whatever its name says.
"""

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

SUFFIXES = (".json", ".jsonl", ".ndjson")
COMPRESSIONS = {"": None, ".gz": "gzip", ".zst": "zstd"}
# Endings of what may well hold webhooks and is not read: it is named. Files with any other ending are somebody else's.
_UNPACK = "it is an archive by its name: unpack it"
_OTHER_ENDINGS = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".bz2", ".xz", ".lz4", ".7z", ".rar"), _UNPACK),
    **dict.fromkeys(
        (".parquet", ".avro", ".orc"),
        "it is a table by its name: bring its webhooks as lines of JSON",
    ),
    "": "its name does not say what is in it: let it end in .jsonl, or .jsonl.gz if it is packed",
}

# Large enough that the cost per block vanishes, small enough to stay in the processor's cache.
BLOCK_BYTES = 1 << 20
# Webhooks shrink to a tenth, very even ones to a fiftieth: what unpacks to more is a trap.
MAX_UNPACKING = 300
FREE_UNPACKED_BYTES = 64 << 20

# First bytes -> what it is; None where it can be unpacked here.
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_OTHER_CONTENT = {
    b"PK\x03\x04": "a zip archive: unzip it",
    b"BZh": "a bzip2 archive: unpack it",
    b"\xfd7zXZ\x00": "an xz archive: unpack it",
    b"\x04\x22\x4d\x18": "an lz4 archive: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"PAR1": "a Parquet file: bring its webhooks as lines of JSON",
    b"Obj\x01": "an Avro file: bring its webhooks as lines of JSON",
    b"SQLite format 3": "an SQLite database: bring its webhooks as lines of JSON",
    b"%PDF": "a PDF: bring webhooks as lines of JSON",
}
_TAR_MARK = slice(257, 262)
_ENCODINGS = {  # the longer mark first: one begins with the other
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"{\x00\x00\x00": "utf-32-le",
    b"[\x00\x00\x00": "utf-32-le",
    b"{\x00": "utf-16-le",
    b"[\x00": "utf-16-le",
    b"\x00{": "utf-16-be",
    b"\x00[": "utf-16-be",
}


class UnreadableFileError(Exception):
    """The file cannot be read; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class LandingFile:
    """A file below LANDING_DIR, as it was when the directory was read."""

    name: str  # path below LANDING_DIR, with forward slashes
    path: str
    size_bytes: int  # on disk
    modified_at: int  # microseconds since 1970 UTC
    is_document: bool  # .json: one JSON document; otherwise one record per line
    compression: str | None  # gzip, zstd, as its name says


@dataclass(slots=True)
class Listing:
    """What is below LANDING_DIR."""

    files: list[LandingFile] = field(default_factory=list)  # by name
    ignored: int = 0  # files with other endings
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> why


def list_files(root: Path) -> Listing:
    """All landing files below a directory, in order of their names.

    Links are followed where they stay below `root`; a directory that is reached twice counts once,
    under its real place. Names that begin with a dot (a tool's, or a transfer under way) are left out.
    """
    listing = Listing()
    inside = os.path.join(os.path.realpath(root), "")
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
            listing.unreadable[name or "."] = _why(error)
            continue
        for child in children:
            if child.name.startswith("."):
                continue
            child_name = name + os.fsencode(child.name).decode(errors="backslashreplace")
            try:
                is_folder = child.is_dir()
                is_outside = child.is_symlink() and not os.path.join(
                    os.path.realpath(child.path), ""
                ).startswith(inside)
                if is_folder and not is_outside:
                    queue = linked if child.is_symlink() else waiting
                    queue.append((child.path, child_name + "/"))
                elif not is_folder and _suffix(child.name)[0] not in SUFFIXES:
                    why = _why_not_read(child.name)
                    if why is None:
                        listing.ignored += 1
                    else:
                        listing.unreadable[child_name] = why
                elif is_outside and os.path.exists(child.path):
                    listing.unreadable[child_name] = (
                        "it is a link that leads out of LANDING_DIR; move what it points at into it"
                    )
                else:
                    listing.files.append(_landing_file(child, child_name))
            except OSError as error:
                listing.unreadable[child_name] = _why(error)
            except UnreadableFileError as error:
                listing.unreadable[child_name] = str(error)
    listing.files.sort(key=lambda file: file.name)
    return listing


def _why(error: OSError) -> str:
    return f"{error.strerror or error}; mend it or take it away"


def _suffix(name: str) -> tuple[str, str]:
    """(ending of a landing file, ending of an archive) of a file name, in lower case."""
    stem, suffix = os.path.splitext(name.lower())
    return (os.path.splitext(stem)[1], suffix) if suffix in COMPRESSIONS else (suffix, "")


def _why_not_read(name: str) -> str | None:
    """Of a name that is no landing file's: why it is not read, if it may well hold webhooks."""
    suffix, compression = _suffix(name)
    if not suffix and not compression:  # README, LICENSE
        return None
    return _OTHER_ENDINGS.get(suffix)


def _landing_file(entry: os.DirEntry[str], name: str) -> LandingFile:
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("it is not a regular file; take it away")
    suffix, compression = _suffix(entry.name)
    return LandingFile(
        name=name,
        path=entry.path,
        size_bytes=status.st_size,
        modified_at=status.st_mtime_ns // 1000,
        is_document=suffix == ".json",
        compression=COMPRESSIONS[compression],
    )


class Content:
    """The content of a landing file, to be read from the beginning to the end.

    No more is read than the file had when it was opened: one that grows faster than it is read would
    never end.
    """

    def __init__(self, file: LandingFile) -> None:
        # A FIFO that took the file's place would wait for its writer.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK)
        self.stream: BinaryIO = os.fdopen(descriptor, "rb", buffering=0)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFileError("it is not a regular file; take it away")
            self.left = status.st_size  # bytes that may still be read
            self.is_archive = self._open_archive(file)
            self.decoder: codecs.IncrementalDecoder | None = None
            self.returns_end_lines = False
            self.ready = b""  # read ahead
            self._recognise_text()
        except BaseException:
            self.stream.close()
            raise

    def __enter__(self) -> "Content":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; empty at the end. A torn archive raises OSError."""
        while not self.ready:
            block = self._next_block(count if self.decoder is None else BLOCK_BYTES)
            if not block:
                return b""
            self.ready = self._as_lines(self._as_utf8(block))
        block, self.ready = self.ready[:count], self.ready[count:]
        return block

    def _open_archive(self, file: LandingFile) -> bool:
        head = self.stream.read(512)
        self.stream.seek(0)
        kind = next((kind for mark, kind in _ARCHIVES.items() if head.startswith(mark)), None)
        if kind is not None:
            self.left = self.left * MAX_UNPACKING + FREE_UNPACKED_BYTES
            self.stream = pa.input_stream(self.stream, compression=kind, buffer_size=BLOCK_BYTES)
            return True
        if file.compression and head.strip()[:1] not in (b"{", b"[", codecs.BOM_UTF8[:1]):
            raise UnreadableFileError(f"it is no {file.compression} archive; bring it again")
        return False

    def _next_block(self, count: int) -> bytes:
        block = self.stream.read(min(count, self.left) if not self.is_archive else count)
        self.left -= len(block)
        if self.left < 0:
            raise UnreadableFileError(
                f"it unpacks to more than {MAX_UNPACKING} times its size; unpack it if that is right"
            )
        return block

    def _recognise_text(self) -> None:
        block = self._next_block(BLOCK_BYTES)
        for mark, what in _OTHER_CONTENT.items():
            if block.startswith(mark):
                raise UnreadableFileError(f"it is {what}")
        if block[_TAR_MARK] == b"ustar":
            raise UnreadableFileError("it is a tar archive: unpack it")
        if self.is_archive and any(map(block.startswith, _ARCHIVES)):
            raise UnreadableFileError("it is an archive in an archive: unpack it once")
        encoding = next((name for mark, name in _ENCODINGS.items() if block.startswith(mark)), None)
        if encoding:
            # Half an emoji stays one: it is repaired, and counted, where its record is read.
            self.decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
            block = self._as_utf8(block)
        # A return at the very end may be the first half of a line end that is being written.
        self.returns_end_lines = b"\n" not in block and b"\r" in block[:-1]
        self.ready = self._as_lines(block)

    def _as_utf8(self, block: bytes) -> bytes:
        if self.decoder is None:
            return block
        try:
            return self.decoder.decode(block).encode(errors="surrogatepass")
        except UnicodeDecodeError as error:
            raise UnreadableFileError(f"it is not the {error.encoding} that it begins as") from None

    def _as_lines(self, block: bytes) -> bytes:
        return block.replace(b"\r", b"\n") if self.returns_end_lines else block


def read_exactly(content: Content, count: int) -> Iterator[bytes]:
    """The next `count` bytes in blocks; fewer at the end of the content."""
    while count and (block := content.read(min(count, BLOCK_BYTES))):
        count -= len(block)
        yield block
