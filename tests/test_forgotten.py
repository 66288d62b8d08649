"""Who was forgotten is known again by keyed hashes, and cut out of what others are in too."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime

import pytest

from orchestration.landing.forgotten import (
    Erasure,
    Forgotten,
    erasures,
    keyed_hash,
    ledger_path,
    read_forgotten,
    remember,
    secret_key,
)
from orchestration.landing.load import load_landing_dir
from orchestration.landing.records import RecordReader, Rejection
from orchestration.landing.retry import retry_rejected
from orchestration.preflight import problems
from orchestration.settings import SAMPLE, Settings, UserError
from orchestration.warehouse import open_warehouse
from tests.mutations import mutate, sound_record

WABA = "200000000000001"
ANA, PHONE = "BR.1000000000000001", "5511900000001"
BIA, OTHER_PHONE = "BR.1000000000000002", "5511900000002"
MAY, JUNE, JULY, NOW = (
    int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (5, 6, 7, 11)
)
KEY = bytes(range(32))


def spans(key: bytes) -> list[list]:
    """Ana's BSUID until now, and the phone that was hers in May."""
    return [
        [keyed_hash(key, ANA), 0, NOW * 10**6],
        [keyed_hash(key, PHONE), MAY * 10**6, JUNE * 10**6],
    ]


def erasure(key: bytes) -> Erasure:
    return Erasure("2026-11-01T00:00:00Z", "dpo", "art. 17", [WABA], spans(key), ["a" * 32])


@pytest.fixture(scope="module")
def forgotten() -> Forgotten:
    return Forgotten(KEY, [erasure(KEY)])


def body(field: str = "messages", waba: str = WABA, **value) -> bytes:
    metadata = {"display_phone_number": "551140000001", "phone_number_id": "300000000000001"}
    change = {"field": field, "value": {"metadata": metadata, **value}}
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": [change]}]}
    ).encode()


def message(time: int = MAY, **names) -> dict:
    return {
        "id": f"wamid.{time}",
        "timestamp": str(time),
        "type": "text",
        "text": {"body": "Oi"},
        **names,
    }


def left(forgotten: Forgotten, text: bytes, received_at: int = NOW) -> tuple[dict | None, int]:
    """(the first value that is left, how much was cut)."""
    kept, cuts = forgotten.without(text, received_at * 10**6)
    changes = [change for entry in json.loads(kept)["entry"] for change in entry["changes"]]
    return (changes[0]["value"] if changes else None), len(cuts)


def test_items_of_others_in_the_same_body_stay(forgotten):
    text = body(
        contacts=[
            {"profile": {"name": "Ana"}, "user_id": ANA},
            {"profile": {"name": "Bia"}, "user_id": BIA},
        ],
        messages=[message(from_user_id=ANA), message(from_user_id=BIA)],
    )
    value, cut = left(forgotten, text)
    assert cut == 2
    assert [contact["user_id"] for contact in value["contacts"]] == [BIA]
    assert value["messages"] == [message(from_user_id=BIA)]


@pytest.mark.parametrize(
    "names",
    [
        {"from": PHONE},
        {"from": "+" + PHONE},
        {"from": f"{PHONE}@s.whatsapp.net"},
        {"from": "551140000001", "to": PHONE},
        {"from": PHONE, "from_user_id": ANA},
        {"from": ANA},
        {"from": "5599", "system": {"user_id": "BR.9", "previous_user_id": ANA}},
        {"recipient_participant_user_id": ANA, "recipient_id": "group"},
    ],
)
def test_an_item_goes_by_whatever_says_that_it_is_theirs(forgotten, names):
    value, _ = left(
        forgotten, body(contacts=[{"profile": {"name": "Ana"}}], messages=[message(**names)])
    )
    assert value is None


@pytest.mark.parametrize(
    ("time", "names", "waba"),
    [
        (JUNE, {"from": PHONE}, WABA),  # the next holder
        (MAY - 1, {"from": PHONE}, WABA),  # the former one
        (MAY, {"from": PHONE, "from_user_id": BIA}, WABA),  # another BSUID says whose it is
        (MAY, {"from": PHONE}, "200000000000009"),  # another business
        (NOW, {"from_user_id": ANA}, WABA),  # came back after the erasure
        (MAY, {"from": OTHER_PHONE}, WABA),
    ],
)
def test_what_is_not_theirs_stays_byte_for_byte(forgotten, time, names, waba):
    text = body(waba=waba, messages=[message(time, **names)])
    assert forgotten.without(text, time * 10**6) == (text, [])


def test_a_card_goes_and_a_mention_is_taken_out_of_somebody_elses_message(forgotten):
    card = {
        "name": {"formatted_name": "Ana"},
        "phones": [{"phone": "+55 11 90000-0001", "wa_id": PHONE}],
    }
    friend = {"name": {"formatted_name": "Caio"}, "phones": [{"wa_id": OTHER_PHONE}]}
    written = message(
        from_user_id=BIA,
        contacts=[card, friend],
        context={"from": PHONE, "id": "wamid.x"},
        text={"body": f"Fale com +55 (11) 90000-0001 ou {PHONE} 10/10"},
    )
    value, cut = left(forgotten, body(messages=[written]))
    (kept,) = value["messages"]
    assert cut == 3
    assert kept["contacts"] == [friend]
    assert kept["context"] == {"from": "erased", "id": "wamid.x"}
    assert kept["text"] == {"body": "Fale com erased ou erased 10/10"}
    assert kept["from_user_id"] == BIA


def test_an_escaped_identifier_is_one(forgotten):
    text = body(messages=[message(from_user_id=ANA)]).replace(
        ANA.encode(), rb"\u0042R.100000000000000\u0031"
    )
    assert left(forgotten, text) == (None, 1)


def test_numbers_stay_as_they_are_written_and_a_phone_may_be_one(forgotten):
    odd = b'"big":1e999,"long":12345678901234567890123,"number":5511900000002'
    text = body(messages=[message(**{"from": PHONE}), message(from_user_id=BIA)])
    text = text.replace(b'"from_user_id"', odd + b',"from_user_id"').replace(
        f'"{PHONE}"'.encode(), PHONE.encode()
    )
    kept, cuts = forgotten.without(text, MAY * 10**6)
    assert len(cuts) == 1
    assert odd in kept.replace(b" ", b"")


def test_what_is_nested_without_end_goes_where_it_mentions_them(forgotten):
    nested = {"a": ANA}
    for _ in range(400):
        nested = {"a": [nested]}
    value, _ = left(forgotten, body(messages=[message(from_user_id=BIA, odd=nested)]))
    assert value["messages"][0]["from_user_id"] == BIA
    assert ANA not in json.dumps(value)


@pytest.mark.parametrize("seed", range(400))
def test_whatever_is_accepted_is_accepted_without_them(seed):
    """Mutated records: what is left is a webhook of the same receipt, and mentions nobody who goes at all times."""
    rng = random.Random(seed)
    line = mutate(sound_record(rng), rng)
    reader = RecordReader(fallback=MAY * 10**6, latest=NOW * 10**6)
    try:
        text, received_at, *_ = reader.read(line)
    except Rejection:
        return
    names = {
        *re.findall(rb"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]+", text),
        *re.findall(rb"(?<![0-9])[0-9]{12,13}(?![0-9])", text),
    }
    waba_ids = {str(entry["id"]) for entry in json.loads(text)["entry"]}
    for name in sorted(names):
        hashes = [[keyed_hash(KEY, name.decode()), 0, 1 << 62]]
        theirs = Forgotten(KEY, [Erasure("", "", "", sorted(waba_ids), hashes, [])])
        kept, cuts = theirs.without(text, received_at)
        again = RecordReader(fallback=MAY * 10**6, latest=NOW * 10**6).read(
            envelope(kept, received_at)
        )
        assert again[:2] == (kept, received_at)
        assert not cuts or theirs.without(kept, received_at) == (kept, [])


def envelope(body: bytes, received_at: int) -> bytes:
    time = datetime.fromtimestamp(received_at / 10**6, UTC).isoformat()
    return b'{"received_at":"' + time.encode() + b'","body":' + body + b"}"


def test_a_thread_loses_the_messages_of_their_time(forgotten):
    """Synced items count at their receipt as well: an old message that is delivered again is theirs."""
    thread = {
        "id": PHONE,
        "messages": [message(MAY, **{"from": PHONE}), message(JULY, **{"from": PHONE})],
    }
    value, cut = left(forgotten, body("history", history=[{"threads": [thread]}]))
    assert cut == 1
    assert [one["timestamp"] for one in value["history"][0]["threads"][0]["messages"]] == [
        str(JULY)
    ]


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "landing").mkdir()
    return Settings(
        landing_dir=tmp_path / "landing",
        warehouse_path=tmp_path / "warehouse.duckdb",
        publish_dir=tmp_path / "published",
        forget_key_file=tmp_path / "forget.key",
    )


def test_the_ledger_and_the_key_are_their_owners_and_tell_nobody(settings):
    assert read_forgotten(settings) is None
    remember(settings, erasure(secret_key(settings, make=True)))
    assert erasures(settings)[0].reason == "art. 17"
    for path in (ledger_path(settings), settings.forget_key_file):
        assert path.stat().st_mode & 0o777 == 0o600
        assert not any(name in path.read_text() for name in (ANA, PHONE))
    assert read_forgotten(settings).mentions(PHONE.encode())
    settings.forget_key_file.unlink()
    with pytest.raises(UserError, match="FORGET_KEY_FILE=.* is missing"):
        read_forgotten(settings)
    assert any("FORGET_KEY_FILE" in problem for problem in problems(settings))


def test_a_delivery_that_comes_again_is_counted_and_its_text_is_nowhere(settings):
    remember(settings, erasure(secret_key(settings, make=True)))
    lines = [
        body(messages=[message(from_user_id=ANA), message(from_user_id=BIA)]),
        body(messages=[message(from_user_id=ANA)]),
        body(messages=[message(from_user_id=BIA), {**message(), "timestamp": [ANA]}]),
        b'{"object": "page", "id": "' + ANA.encode() + b'"}',
    ]
    (settings.landing_dir / "again.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings, now=datetime(2027, 1, 1))
        assert (
            result.records,
            result.rejected["forgotten"],
            result.rejected_parts["forgotten"],
        ) == (3, 1, 3)
        retry_rejected(warehouse, settings)
        bodies = warehouse.execute("select string_agg(body, '') from raw.webhook").fetchone()[0]
        texts = warehouse.execute("select distinct record_text from raw.rejected_record").fetchall()
    assert ANA not in bodies
    assert bodies.count(BIA) == 2
    assert texts == [("",)]


def test_nobody_forgotten_costs_nothing(settings, monkeypatch):
    """The quick path is the reader's own."""
    monkeypatch.setattr(Forgotten, "__init__", lambda *_: pytest.fail("nobody was forgotten"))
    (settings.landing_dir / "new.jsonl").write_bytes(
        body(messages=[message(from_user_id=ANA)]) + b"\n"
    )
    with open_warehouse(settings) as warehouse:
        assert load_landing_dir(warehouse, settings).records == 1


def test_every_item_of_the_sample_can_be_told_whose_it_is(tmp_path):
    """Each BSUID cut out leaves no trace in any body."""
    settings = Settings(
        landing_dir=SAMPLE, warehouse_path=tmp_path / "warehouse.duckdb", publish_dir=tmp_path
    )
    with open_warehouse(settings) as warehouse:
        load_landing_dir(warehouse, settings)
        bodies = warehouse.execute("select body, epoch_us(received_at) from raw.webhook").fetchall()
    bsuids = {
        name for text, _ in bodies for name in re.findall(r"[A-Z]{2}\.(?:ENT\.)?[0-9]{16}", text)
    }
    wabas = sorted({entry["id"] for text, _ in bodies for entry in json.loads(text)["entry"]})
    assert len(bsuids) > 50
    for bsuid in bsuids:
        theirs = Forgotten(
            KEY, [Erasure("", "", "", wabas, [[keyed_hash(KEY, bsuid), 0, 1 << 62]], [])]
        )
        for text, received_at in bodies:
            if re.search(rf"{bsuid}\b", text):
                kept, cuts = theirs.without(text.encode(), received_at)
                assert cuts
                assert not theirs.mentions(kept)
