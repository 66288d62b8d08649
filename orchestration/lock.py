"""One run at a time per warehouse and per PUBLISH_DIR: locks that a living process holds."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.settings import Settings, UserError

# A thread may take a lock again that it holds: the command line does so around Dagster's run.
_held: dict[Path, threading.RLock] = {}
_depth: dict[Path, int] = {}


def lock_paths(settings: Settings) -> list[Path]:
    """The lock files, in the order in which every process takes them."""
    return sorted(
        {
            settings.warehouse_path.with_name(f".{settings.warehouse_path.name}.lock"),
            settings.publish_dir / ".lock",
        }
    )


@contextmanager
def locked(settings: Settings, say: Callable[[str], None] = print) -> Iterator[None]:
    """Hold the locks of the warehouse and of PUBLISH_DIR; waits, and says for whom.

    The kernel frees a lock when the process that holds it ends, however it ends. Raises UserError
    where a lock file cannot be made.
    """
    with ExitStack() as stack:
        for path in lock_paths(settings):
            stack.enter_context(_lock(path, say))
        yield


@contextmanager
def _lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with _held.setdefault(path, threading.RLock()):
        if _depth.get(path):
            yield
            return
        file = _open(path)
        try:
            if not _try(file):
                say(f"Waiting for {_describe(path)}.")
                while not _try(file):
                    time.sleep(0.2)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(_myself()).encode(), 0)
            _depth[path] = 1
            yield
        finally:
            _depth[path] = 0
            os.close(file)


def holder(settings: Settings) -> str | None:
    """Who holds one of the locks now, in words; None when all are free."""
    for path in lock_paths(settings):
        if not path.exists():
            continue
        file = _open(path)
        try:
            if not _try(file):
                return _describe(path)
        finally:
            os.close(file)
    return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): choose folders for WAREHOUSE_PATH and "
            "PUBLISH_DIR that you may write to."
        ) from error


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _myself() -> dict[str, object]:
    # the command alone: what follows may be somebody's phone
    arguments = [Path(sys.argv[0]).name, *sys.argv[1:2]]
    return {
        "pid": os.getpid(),
        "command": " ".join(arguments),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _describe(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['pid']} ({who['command']}, since {who['since']}), which holds {path}"
    except (OSError, ValueError, KeyError):  # it is just writing who it is
        return f"another process, which holds {path}"
