"""Dagster's history in SQLite, with one connection per file that is kept open.

Dagster makes an engine, opens a connection and closes it again for each of two thousand events; each commit waits for
the disk, and so does each close, as the last connection to a file folds its log in. That was half the time of a run.
With connections kept open and `synchronous = normal` SQLite waits only now and then; a power cut may cost the last
events, never the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import sqlalchemy
from dagster._core.storage.event_log import SqliteEventLogStorage

WAIT_SECONDS = 60  # for another process that writes


@cache
def engine(url: str) -> sqlalchemy.Engine:
    made = sqlalchemy.create_engine(url, connect_args={"timeout": WAIT_SECONDS})
    sqlalchemy.event.listen(
        made, "connect", lambda connection, _: connection.execute("pragma synchronous = normal")
    )
    return made


@contextmanager
def connect(storage: SqliteEventLogStorage, shard: str) -> Iterator[sqlalchemy.Connection]:
    """What SqliteEventLogStorage._connect does, on a connection that stays open."""
    with storage._db_lock:
        shared = engine(storage.conn_string_for_shard(shard))
        if shard not in storage._initialized_dbs:
            storage._initdb(shared)
            storage._initialized_dbs.add(shard)
        with shared.begin() as connection:
            yield connection


def wait_less() -> None:
    """From now on, in this process."""
    SqliteEventLogStorage._connect = connect
