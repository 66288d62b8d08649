"""What is kept of people and for whom: the masked published file, and old content that is taken out."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from orchestration.masked import hmac_macro, masking_key, tags
from orchestration.publish import publish
from orchestration.retention import OldContent, retain
from orchestration.settings import SAMPLE, Settings
from tests.build import Build
from tests.conftest import read_csv

BSUID = r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{4,}"


@pytest.fixture(scope="module")
def masked_sample(sample_build: Build, tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("masked")
    settings = sample_build.settings.model_copy(
        update={
            "publish_dir": folder / "published",
            "forget_key_file": folder / "forget.key",
            "publish_masked": True,
        }
    )
    publish(settings)
    return settings


def values(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], set[str]]:
    """(table, column) -> its values as text, of the schema marts."""
    columns = connection.execute(
        "select table_name, column_name from duckdb_columns() where schema_name = 'marts' and not internal"
    ).fetchall()
    return {
        (table, column): {
            value
            for (value,) in connection.execute(
                f'select distinct "{column}"::varchar from marts.{table} where "{column}" is not null'
            ).fetchall()
        }
        for table, column in columns
    }


@pytest.fixture(scope="module")
def full(masked_sample) -> dict[tuple[str, str], set[str]]:
    with duckdb.connect(
        str(masked_sample.publish_dir / "customers.duckdb"), read_only=True
    ) as connection:
        return values(connection)


@pytest.fixture(scope="module")
def people(full) -> re.Pattern[str]:
    """Every BSUID, phone, username and name of the sample."""
    known = (
        full["dim_customer_identifier", "identifier_value"] | full["dim_customer", "profile_name"]
    )
    assert len(known) > 100
    return re.compile("|".join(rf"\b{re.escape(name)}\b" for name in known) + f"|{BSUID}")


def test_every_column_with_somebody_in_it_is_tagged(full, people):
    telling = {
        place for place, found in full.items() if any(people.search(value) for value in found)
    }
    tagged = {(table, column) for table, columns in tags().items() for column in columns}
    assert len(telling) > 15
    assert telling <= tagged
    assert tagged <= full.keys()  # a tag of no column is a slip of the pen


def test_nobody_is_in_the_masked_file(masked_sample, people):
    path = masked_sample.publish_dir / "customers_masked.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        found = values(connection)
        tables = connection.execute("select distinct schema_name from duckdb_tables()").fetchall()
    assert tables == [("marts",)]
    assert found["dim_customer", "current_bsuid"]
    for place, texts in found.items():
        assert not [text for text in texts if people.search(text)], place
    known = re.compile(people.pattern.removesuffix(f"|{BSUID}").replace(r"\b", "").encode())
    assert not known.search(path.read_bytes())


def test_masked_tables_have_all_rows_and_join(masked_sample, full):
    with duckdb.connect(
        str(masked_sample.publish_dir / "customers_masked.duckdb"), read_only=True
    ) as masked:
        assert {place for place in values(masked)} == full.keys()
        found = masked.execute(
            """
            select count(*), count(distinct customer.customer_key)
            from marts.dim_customer as customer
            inner join marts.dim_customer_identifier as held
                on held.customer_key = customer.customer_key and held.identifier_value = customer.wa_id
            where held.identifier_type = 'phone' and held.is_current
            """
        ).fetchone()
        named = masked.execute(
            "select count(wa_id), count(phone_e164), count(profile_name) from marts.dim_customer"
        ).fetchone()
        alike = masked.execute(
            "select count(*) from marts.dim_customer where phone_e164 = wa_id"
        ).fetchone()
    assert found[0] == found[1] == named[0] > 20
    assert named[2] == 0
    assert alike[0] > 20


def test_the_hash_is_hmac_of_a_key_that_is_nowhere_else(masked_sample):
    secret = bytes.fromhex(masked_sample.forget_key_file.read_text())
    key = masking_key(secret)
    assert key != secret
    with duckdb.connect() as connection:
        connection.execute(hmac_macro(key))
        for text in ("5511900000001", "Célia", ""):
            (digest,) = connection.execute("select keyed_hash(?)", [text]).fetchone()
            assert digest == hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def test_it_goes_when_it_is_not_asked_for(masked_sample):
    publish(masked_sample.model_copy(update={"publish_masked": False}))
    assert not (masked_sample.publish_dir / "customers_masked.duckdb").is_symlink()


def test_content_goes_by_its_age_and_evidence_stays():
    message = {"id": "wamid.1", "from": "5511900000001", "type": "text", "timestamp": "1777593600"}
    edit = {"original_message_id": "wamid.1", "message": {"type": "text"}}
    card = {"contacts": [{"phones": [{"wa_id": "5511900000002"}]}]}
    full = [
        message | {"text": {"body": "Oi"}},
        message | {"edit": {**edit, "message": {"type": "text", "text": {"body": "Olá"}}}},
        message | card,
    ]

    def body(messages: list[dict]) -> bytes:
        change = {"field": "messages", "value": {"messages": messages}}
        return json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
        ).encode()

    old = OldContent(1_000)
    assert old.without(body(full), 1_000) == (body(full), [])
    left, cuts = old.without(body(full), 999)
    assert json.loads(left) == json.loads(body([message, message | {"edit": edit}, message | card]))
    assert [cut.json_path.rpartition(".")[2] for cut in cuts] == ["text", "text"]


def test_old_content_is_nowhere_and_everybody_is_who_they_were(sample_build: Build, tmp_path):
    build = Build(tmp_path)
    shutil.copytree(SAMPLE, build.landing, dirs_exist_ok=True)
    build.land()
    settings = build.settings.model_copy(update={"retention_days": 1})
    assert any(b"Quero remarcar" in path.read_bytes() for path in build.landing.rglob("*.jsonl"))
    assert retain(settings, print)
    assert not retain(settings, print)
    build.land()
    build.dbt({path.stem: read_csv(path) for path in settings.seeds_dir.glob("*.csv")}, {})
    old = OldContent(int((datetime.now(UTC) - timedelta(days=1)).timestamp() * 1_000_000))
    for text, received_at in build.query("select body, epoch_us(received_at) from raw.webhook"):
        assert old.without(text.encode(), received_at)[1] == []
    for path in [*build.landing.rglob("*.jsonl"), build.warehouse]:
        assert b"Quero remarcar" not in path.read_bytes(), path
    for table in (
        "dim_customer",
        "dim_customer_identifier",
        "fct_message",
        "identity_link",
        "unrecognised_field",
    ):
        query = f"from marts.{table} order by all"
        assert build.query(query) == sample_build.query(query), table
