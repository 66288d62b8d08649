"""The marts for analysts without clearance: customers_masked.duckdb, written beside the full file.

A column that the YAML of its mart tags with `meta: pii: identifier` becomes a keyed hash, equal wherever the identifier is
equal, so that tables still join; `pii: text` becomes null. Times, counts and customer keys stay.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from pathlib import Path

import duckdb
import yaml

from orchestration.ledger import quoted
from orchestration.project import FOLDER

# Of the tables that publishing itself writes.
OF_PUBLISHING = {"identity_change_log": {"evidence_event_id": "identifier", "detail": "text"}}
BLOCK_BYTES = 64  # of SHA-256


@cache
def tags() -> dict[str, dict[str, str]]:
    """{mart: {column: identifier or text}} of every column that holds personal data."""
    tagged = dict(OF_PUBLISHING)
    for path in sorted((FOLDER / "models" / "marts").glob("*.yml")):
        for model in yaml.safe_load(path.read_text()).get("models", ()):
            tagged[model["name"]] = {
                column["name"]: column["config"]["meta"]["pii"]
                for column in model["columns"]
                if "pii" in column.get("config", {}).get("meta", {})
            }
    return tagged


def masking_key(secret: bytes) -> bytes:
    """A key of its own: who learns it cannot tell who was forgotten."""
    return hmac.new(secret, b"customers_masked", hashlib.sha256).digest()


def hmac_macro(key: bytes) -> str:
    """SQL that makes the temporary macro `keyed_hash(text)`: HMAC-SHA256 as hexadecimal digits."""

    def pad(byte: int) -> str:
        return "".join(f"\\x{part ^ byte:02X}" for part in key.ljust(BLOCK_BYTES, b"\0"))

    return (
        f"create or replace temp macro keyed_hash(text) as "
        f"sha256('{pad(0x5C)}'::blob || unhex(sha256('{pad(0x36)}'::blob || encode(text))))"
    )


def write_masked(connection: duckdb.DuckDBPyConnection, file: Path, secret: bytes) -> None:
    """Write the masked copy of the schema marts of the database attached as `fresh`."""
    connection.execute(f"attach {quoted(file)} as masked (row_group_size 16384)")
    connection.execute(hmac_macro(masking_key(secret)))
    connection.execute("begin")
    connection.execute("create schema masked.marts")
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'fresh' and schema_name = 'marts' order by all"
    ).fetchall()
    for (table,) in tables:
        columns = connection.execute(
            "select column_name, data_type, comment from duckdb_columns() "
            "where database_name = 'fresh' and schema_name = 'marts' and table_name = ? order by column_index",
            [table],
        ).fetchall()
        kinds = tags().get(table, {})
        shown = ", ".join(
            f'{masked(name, kinds.get(name), kind)} as "{name}"' for name, kind, _ in columns
        )
        connection.execute(
            f"create table masked.marts.{table} as select {shown} from fresh.marts.{table}"
        )
        for name, _, comment in columns:
            text = {"identifier": "Keyed hash. ", "text": "Left out. "}.get(kinds.get(name), "")
            connection.execute(
                f'comment on column masked.marts.{table}."{name}" is {quoted(text + (comment or "").strip())}'
            )
    connection.execute("commit")
    connection.execute("checkpoint masked")
    connection.execute("detach masked")


def masked(column: str, tag: str | None, kind: str) -> str:
    """What stands for a column, in SQL. A phone is one however it is written: +55… and 55…."""
    if tag == "identifier":
        return f"keyed_hash(ltrim(\"{column}\", '+'))"
    return f"null::{kind}" if tag else f'"{column}"'
