"""Landing segments: files of one envelope per line, durable before anybody is told, shown by rename.

A segment is written in LANDING_DIR/.receiver, which the loader leaves out, and locked by whoever
writes it; published, it is moved to LANDING_DIR under the same name. A lock goes with its process:
what lies there without one is of a process that died, and is published by the next who looks.
"""

import asyncio
import base64
import fcntl
import logging
import os
import queue
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orchestration.receiver import metrics

OPEN_FOLDER = ".receiver"
# One write and one fsync are for so many bytes at most.
COMMIT_BYTES = 8 << 20
BLOCK_BYTES = 1 << 16

logger = logging.getLogger("receiver")


def envelope(body: bytes, path: str, received_at: datetime) -> bytes:
    """One line of a segment; `body` is in it byte by byte.

    As text where it is UTF-8. What is not is in base64 under another key: no JSON string can hold
    it, and the loader rejects a record without a body, which keeps it.
    """
    record = {"received_at": received_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "path": path}
    try:
        record["body"] = body.decode()
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(body).decode()
    return msgspec.json.encode(record) + b"\n"


class Segment:
    """The segment that this process writes. Raises OSError where the disk does."""

    def __init__(self, landing_dir: Path) -> None:
        host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40]
        self.name = (
            f"webhooks-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{host}-{os.getpid()}"
            f"-{secrets.token_hex(4)}.jsonl"
        )
        self.path = landing_dir / OPEN_FOLDER / self.name
        self.path.parent.mkdir(exist_ok=True)
        self.bytes = 0
        self.records = 0
        self.opened_at = time.monotonic()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self.descriptor = os.open(self.path, flags, 0o666)
        try:
            # Another process may have taken the file for an orphan before it was locked.
            if not _lock(self.descriptor, self.path):
                raise OSError(f"{self.path} was taken by another process")
            _sync_folder(self.path.parent)
            _sync_folder(landing_dir)
        except OSError:
            os.close(self.descriptor)
            raise

    def append(self, lines: list[bytes]) -> None:
        """Make lines durable. Where that fails, the segment can only be published: without them."""
        content = memoryview(b"".join(lines))
        size = len(content)
        while content:
            content = content[os.write(self.descriptor, content) :]
        os.fdatasync(self.descriptor)
        self.bytes += size
        self.records += len(lines)

    def publish(self) -> None:
        """Show the segment to the loader, and let go of it; an empty one goes."""
        try:
            _show(self.descriptor, self.path, self.bytes)
        finally:
            os.close(self.descriptor)


def recover(landing_dir: Path) -> list[str]:
    """Publish the segments of processes that died; the names of those that were.

    A last line without its end goes: nobody was told that it was there. Complete lines stay, told or
    not. What cannot be recovered now is left for the next time.
    """
    recovered = []
    for path in sorted((landing_dir / OPEN_FOLDER).glob("*.jsonl")):
        try:
            with _orphan(path) as descriptor:
                if descriptor is None:
                    continue
                size = _end_of_lines(descriptor)
                _show(descriptor, path, size)
                if size:
                    recovered.append(path.name)
        except FileNotFoundError:  # published by its process, or by another one that looked
            continue
        except OSError as error:
            logger.warning("%s cannot be recovered now: %s", path.name, error)
    return recovered


@contextmanager
def _orphan(path: Path) -> Iterator[int | None]:
    """The descriptor of a segment that nobody writes, locked; None where somebody does."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor if _lock(descriptor, path) else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock a file; False if another process has it, or had it and moved it away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False


def _end_of_lines(descriptor: int) -> int:
    """Bytes up to and with the last line feed."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - BLOCK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _show(descriptor: int, path: Path, size: int) -> None:
    """Cut an open segment to its size, and move it to where the loader finds it."""
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)
    if size:
        landing_dir = path.parent.parent
        os.rename(path, landing_dir / path.name)
        _sync_folder(landing_dir)
    else:
        os.unlink(path)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Writer:
    """Writes lines from an event loop in a thread of its own: what waits together is synced together."""

    def __init__(self, landing_dir: Path, segment_bytes: int, segment_seconds: float) -> None:
        self.landing_dir = landing_dir
        self.segment_bytes = segment_bytes
        self.segment_seconds = segment_seconds
        self.segment: Segment | None = None
        self.waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = (
            queue.SimpleQueue()
        )
        self.loop = asyncio.get_running_loop()
        self.recover()
        self.thread = threading.Thread(target=self._run, name="segment writer")
        self.thread.start()

    async def write(self, line: bytes) -> None:
        """Returns when the line is durable. Raises OSError if it cannot be made so."""
        done = self.loop.create_future()
        self.waiting.put((line, done))
        await done

    def close(self) -> None:
        """Write what waits, publish the segment, end the thread."""
        self.waiting.put(None)
        self.thread.join()

    def recover(self) -> None:
        """Publish what dead processes left."""
        self.looked_at = time.monotonic()
        for name in recover(self.landing_dir):
            metrics.SEGMENTS.labels("recovered").inc()
            logger.info("recovered segment %s", name)

    def _run(self) -> None:
        while True:
            lines, waiters, closing = self._take()
            if lines:
                error = self._commit(lines)
                with suppress(RuntimeError):  # the loop was closed by force
                    self.loop.call_soon_threadsafe(_tell, waiters, error)
            age = time.monotonic() - self.segment.opened_at if self.segment else 0.0
            if self.segment and (
                closing or age >= self.segment_seconds or self.segment.bytes >= self.segment_bytes
            ):
                self._publish()
            if closing:
                return
            if time.monotonic() - self.looked_at >= self.segment_seconds:
                self.recover()

    def _take(self) -> tuple[list[bytes], list[asyncio.Future[None]], bool]:
        """What waits (lines, whom to tell), and whether it is the last; waits for it a while."""
        lines: list[bytes] = []
        waiters: list[asyncio.Future[None]] = []
        since = self.segment.opened_at if self.segment else self.looked_at
        pause = max(0.0, since + self.segment_seconds - time.monotonic())
        size = 0
        with suppress(queue.Empty):
            item = self.waiting.get(timeout=pause)
            while item is not None:
                lines.append(item[0])
                waiters.append(item[1])
                size += len(item[0])
                if size >= COMMIT_BYTES:
                    return lines, waiters, False
                item = self.waiting.get_nowait()
            return lines, waiters, True
        return lines, waiters, False

    def _commit(self, lines: list[bytes]) -> Exception | None:
        """Make lines durable. Whatever goes wrong, the next commit starts with a new segment."""
        started = time.perf_counter()
        try:
            if self.segment is None:
                self.segment = Segment(self.landing_dir)
            self.segment.append(lines)
        except Exception as error:
            logger.error("%d records could not be written: %s", len(lines), error)
            metrics.WRITE_ERRORS.inc()
            self._publish()
            return error
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - started)
        metrics.RECORDS.inc(len(lines))
        metrics.LAST_RECORD.set_to_current_time()
        return None

    def _publish(self) -> None:
        segment, self.segment = self.segment, None
        if segment is None:
            return
        try:
            segment.publish()
        except OSError as error:  # it is an orphan now, and recovered as one
            logger.error("segment %s could not be published: %s", segment.name, error)
            return
        if segment.records:
            metrics.SEGMENTS.labels("published").inc()
            logger.info(
                "published segment %s: %d records, %d bytes",
                segment.name,
                segment.records,
                segment.bytes,
            )


def _tell(waiters: list[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():  # its client left, or the server is being stopped
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
