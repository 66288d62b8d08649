"""Dagster's history in SQLite, without waiting for the disk at each of two thousand events.

Dagster opens and closes a connection per event: each commit waits for the disk, and so does each close, as the last
connection to a file folds its log in. That was half the time of a run. With one connection kept open and
`synchronous = normal` SQLite waits only now and then; a power cut may cost the last events, never the file.
"""

import sqlite3

import sqlalchemy

_kept: dict[str, sqlite3.Connection] = {}


def relax(connection, _record) -> None:
    """Called by SQLAlchemy for every new connection."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.execute("pragma synchronous = normal")
    path = connection.execute("pragma database_list").fetchone()[2]
    if path and path not in _kept:
        _kept[path] = sqlite3.connect(path, check_same_thread=False)
        _kept[path].execute("select count(*) from sqlite_master").fetchone()


def wait_less() -> None:
    """From now on, in this process."""
    if not sqlalchemy.event.contains(sqlalchemy.engine.Engine, "connect", relax):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", relax)
