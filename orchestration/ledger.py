"""What publishing remembers for ever: every key it ever published, and what each publish changed.

The ledger is a DuckDB file beside the published one and is only ever appended to, so that keys keep
leading somewhere (R10) also after the warehouse is lost and rebuilt. Keys may be remembered that a
killed run did not come to publish: harmless, they only resolve.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.settings import Settings, UserError
from orchestration.warehouse import open_warehouse

DDL = (
    """
    create table if not exists published_key (
        customer_key varchar primary key,
        received_at timestamp not null,
        event_id varchar not null,
        identifier varchar not null,
        first_published_at timestamp not null,
        publish_id varchar not null,
        waba_id varchar                      -- null for keys made before it was part of them
    )
    """,
    "alter table published_key add column if not exists waba_id varchar",
    """
    create table if not exists identity_change_log (
        publish_id varchar not null,
        published_at timestamp not null,
        change varchar not null,             -- merged, split, rekeyed or forced
        portfolio_id varchar,
        customer_key varchar,
        former_customer_key varchar,
        link_rule varchar,
        evidence_event_id varchar,
        detail varchar
    )
    """,
)


def ledger_path(settings: Settings) -> Path:
    return settings.publish_dir / "ledger.duckdb"


@contextmanager
def open_ledger(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The ledger, created where it is missing. Raises UserError when it cannot be opened."""
    path = ledger_path(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(path))
    except (OSError, duckdb.Error) as error:
        raise UserError(
            f"The ledger {path} cannot be opened ({str(error).splitlines()[0]}): close what holds "
            "it, or make PUBLISH_DIR a folder that you may write to."
        ) from error
    try:
        for statement in DDL:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()


def copy_keys_to_warehouse(settings: Settings) -> int:
    """Bring raw.published_key up to the ledger; returns how many keys it holds."""
    with open_ledger(settings):
        pass
    with open_warehouse(settings) as connection:
        connection.execute(f"attach '{ledger_path(settings)}' as ledger (read_only)")
        connection.execute(
            """
            insert or ignore into raw.published_key
            select customer_key, received_at, event_id, identifier, waba_id from ledger.published_key
            """
        )
        connection.execute("detach ledger")
        return connection.execute("select count(*) from raw.published_key").fetchone()[0]
