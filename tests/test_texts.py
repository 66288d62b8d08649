"""What people wrote is published only where it is asked for, beside what everybody reads, and only while it is young."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import datetime, timedelta

import duckdb
import pytest

from orchestration.publish import attached, publish
from orchestration.settings import SAMPLE, Settings
from orchestration.texts import write_texts
from orchestration.versions import current_version
from tests.build import Build

FILE = "customers_text.duckdb"
REPLIES = {"button_reply", "list_reply"}


@pytest.fixture(scope="module")
def settings(sample_build: Build, tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("texts")
    settings = sample_build.settings.model_copy(
        update={
            "publish_dir": folder / "published",
            "forget_key_file": folder / "forget.key",
            "publish_masked": True,
            "publish_text": True,
        }
    )
    publish(settings)
    return settings


def rows(file, query: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(query).fetchall()


def published_texts(file) -> dict[str, str]:
    return dict(rows(file, "select message_id, message_text from marts.fct_message_text"))


def says(message: dict) -> str | None:
    """What a message as WhatsApp sends it has in words."""
    kind = message.get("type")
    content = message.get(kind, {})
    if kind == "interactive":
        return next((content[one]["title"] for one in REPLIES & content.keys()), None)
    name = {"text": "body", "button": "text", "image": "caption", "video": "caption"}
    return content.get(name.get(kind, "caption")) if isinstance(content, dict) else None


def landed() -> list[tuple[datetime, int, str, str, bool]]:
    """(received, sent, message id, text, unsent) of all that the sample's files say, edits under what they edit."""
    found = []
    for path in sorted(path for path in SAMPLE.rglob("*") if path.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [content] if path.suffix == ".json" else content.splitlines()
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            for one in record if isinstance(record, list) else [record]:
                body = one.get("body", one)
                body = json.loads(body) if isinstance(body, str) else body
                if "entry" in body:
                    found += sayings(one.get("received_at"), body)
    return found


def sayings(received_at: str | None, node) -> list:
    """Every message below a node of a body."""
    if isinstance(node, list):
        return [one for inner in node for one in sayings(received_at, inner)]
    if not isinstance(node, dict):
        return []
    found = [one for inner in node.values() for one in sayings(received_at, inner)]
    if "id" in node and "type" in node and "timestamp" in node:
        change = node.get("edit") or node.get("revoke") or {}
        text = says(change.get("message", {})) or says(node)
        place = change.get("original_message_id", node["id"])
        if text or "revoke" in node:
            found.append((received_at, int(node["timestamp"]), place, text, "revoke" in node))
    return found


def test_every_text_is_the_last_that_was_said_and_not_unsent(settings):
    known = dict(
        rows(
            settings.publish_dir / "customers.duckdb",
            "select message_id, customer_key from marts.fct_message",
        )
    )
    said = sorted(landed(), key=lambda one: one[1])
    unsent = {place for _, _, place, _, is_unsent in said if is_unsent}
    newest = {place: text for _, _, place, text, _ in said if place in known}
    expected = {place: text for place, text in newest.items() if place not in unsent}
    assert unsent
    assert len(expected) > 100
    assert any(len({text for _, _, p, text, _ in said if p == place}) > 1 for place in expected)
    file = settings.publish_dir / FILE
    assert published_texts(file) == expected
    keyed = rows(file, "select message_id, customer_key from marts.fct_message_text")
    assert keyed == [(message, known[message]) for message, _ in keyed]


def test_no_other_file_has_a_text(settings):
    texts = {text for text in published_texts(settings.publish_dir / FILE).values() if " " in text}
    assert len(texts) > 5
    version = current_version(settings)
    others = [path for path in version.rglob("*") if path.is_file() and path.name != FILE]
    assert {"customers.duckdb", "customers_masked.duckdb", "ledger.duckdb"} < {
        path.name for path in others
    }
    for path in others:
        if path.suffix == ".parquet":
            shown = str(duckdb.sql(f"from '{path}'").fetchall())
        else:
            tables = rows(path, "select schema_name || '.' || table_name from duckdb_tables()")
            shown = str([rows(path, f"from {table}") for (table,) in tables])
        assert not [text for text in texts if text in shown], path


def test_a_text_that_is_too_old_is_not_published(settings, tmp_path):
    oldest = datetime(2026, 8, 15)
    with attached(settings) as warehouse:
        write_texts(warehouse, tmp_path / FILE, datetime(2026, 11, 23), 100)
    received = "select message_id, received_at from marts.fct_message_text order by all"
    everything = rows(settings.publish_dir / FILE, received)
    young = [row for row in everything if row[1] >= oldest]
    assert 0 < len(young) < len(everything)
    assert rows(tmp_path / FILE, received) == young


def test_what_is_set_aside_has_no_text(settings, tmp_path):
    warehouse = shutil.copy(settings.warehouse_path, tmp_path / settings.warehouse_path.name)
    messages = published_texts(settings.publish_dir / FILE)
    aside = next(iter(messages))
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "update marts.fct_message set customer_key = null, unassigned_reason = 'quarantined' where message_id = ?",
            [aside],
        )
    with attached(settings.model_copy(update={"warehouse_path": warehouse})) as copy:
        write_texts(copy, tmp_path / FILE, datetime(2026, 11, 23), None)
    assert published_texts(tmp_path / FILE).keys() == messages.keys() - {aside}


def test_a_publish_goes_by_the_retention(settings, tmp_path):
    publish(settings.model_copy(update={"publish_dir": tmp_path, "retention_days": 1}))
    [(published_at,)] = rows(
        tmp_path / "customers.duckdb", "select published_at from marts.publication"
    )
    received = "select message_id, received_at from marts.fct_message_text order by all"
    everything = rows(settings.publish_dir / FILE, received)
    young = [row for row in everything if row[1] >= published_at - timedelta(days=1)]
    assert len(young) < len(everything)
    assert rows(tmp_path / FILE, received) == young


def test_it_is_there_only_while_it_is_asked_for(settings, tmp_path):
    assert not Settings().publish_text
    folder = {"publish_dir": tmp_path}
    publish(settings.model_copy(update=folder | {"publish_text": False}))
    assert not (tmp_path / FILE).is_symlink()
    publish(settings.model_copy(update=folder))
    assert published_texts(tmp_path / FILE)
    publish(settings.model_copy(update=folder | {"publish_text": False}))
    assert not (tmp_path / FILE).is_symlink()
    assert not list(current_version(settings.model_copy(update=folder)).glob(FILE))


def test_the_table_explains_itself(settings):
    for kind in ("tables", "columns"):
        found = f"select comment from duckdb_{kind}() where schema_name = 'marts'"
        comments = [comment for (comment,) in rows(settings.publish_dir / FILE, found)]
        assert comments
        assert all(comments)
