"""One record: what is accepted, what is rejected for which reason, when it was received."""

import base64
import json
import random
import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing.records import (
    MAX_BODY_BYTES,
    RecordReader,
    Rejection,
    _repair_surrogates,
    describe,
)
from tests.mutations import mutate, sound_record

SECOND = 1_000_000
FALLBACK = 1_600_000_000 * SECOND
LATEST = 1_800_000_000 * SECOND
DAY = 86_400
START = '{"object":"whatsapp_business_account"'


def read(record: str | bytes, is_utf8: bool = False) -> tuple[bytes, int]:
    record = record.encode() if isinstance(record, str) else record
    return RecordReader(fallback=FALLBACK, latest=LATEST).read(record, is_utf8)[:2]


def body(value: str = "{}", field: str = '"messages"', extra: str = "") -> str:
    changes = f'"changes":[{{"field":{field},"value":{value}}}]'
    return f'{START},"entry":[{{"id":"1",{changes}}}]{extra}}}'


def messages(*timestamps: int | str) -> str:
    return json.dumps({"messages": [{"timestamp": t} for t in timestamps]})


ACCEPTED = [
    body(),
    body(extra=',"unknown":{"a":[1,1e999,"\\u0000","\\ud83d\\ude00","ação"]}'),
    body(field='"brand_new"', value='{"messages":5,"contacts":"x"}'),
    body(value='{"contacts":null,"messages":[]}'),
    body(value='{"messages":[{"timestamp":"soon"}]}'),
    START + ',"entry":[]}',
    START + ',"entry":[{"id":102290129340398,"changes":[]}]}',
]


@pytest.mark.parametrize("record", ACCEPTED)
def test_accepted_as_it_is(record: str) -> None:
    assert read(record)[0] == record.encode()


REJECTED = [
    ("bad_json", "{"),
    ("bad_json", body() + "}"),
    ("bad_json", body(extra=',"a":NaN')),
    ("bad_json", body(extra=',"a":[1,]')),
    ("bad_json", body(extra=',"a":01')),
    ("bad_json", body(extra=',"a":"\\x"')),
    ("bad_json", body(extra=',"a":"\x01"')),
    ("bad_json", b"\xff\xfe{\x00}\x00"),
    ("too_deep", body(extra=',"a":' + "[" * 100_000 + "]" * 100_000)),
    ("too_large", body(extra=f',"a":"{"x" * MAX_BODY_BYTES}"')),
    ("not_a_webhook", "5"),
    ("not_a_webhook", "null"),
    ("not_a_webhook", "[]"),
    ("not_a_webhook", "{}"),
    ("not_a_webhook", '{"object":"page","entry":[]}'),
    ("not_a_webhook", '{"object":5,"entry":[]}'),
    ("not_a_webhook", '{"body":5}'),
    ("not_a_webhook", '{"body":{}}'),
    ("not_a_webhook", '{"body":null}'),
    ("wrong_type", START + "}"),
    ("wrong_type", START + ',"entry":{}}'),
    ("wrong_type", START + ',"entry":[{"id":"1"}]}'),
    ("wrong_type", START + ',"entry":[{"id":"1","changes":{}}]}'),
    ("wrong_type", START + ',"entry":[{"id":" ","changes":[]}]}'),
    ("wrong_type", START + ',"entry":[5]}'),
    ("wrong_type", body(field="5")),
    ("wrong_type", body(value="[]")),
    ("wrong_type", body(value="[]", field='"brand_new"')),
    ("wrong_type", body(value='{"messages":[5]}')),
    ("wrong_type", body(value='{"contacts":{}}')),
    ("wrong_type", body(value='{"contacts":[5]}')),
    ("wrong_type", body(value='{"timestamp":true}')),
    ("wrong_type", body(value='{"statuses":[null]}')),
    ("wrong_type", body(value='{"standby":[]}')),
    ("wrong_type", body(value='{"history":[{"threads":5}]}')),
    ("bad_json", json.dumps({"body": "{"})),
    ("wrong_type", json.dumps({"body": START + "}"})),
    ("bad_received_at", f'{{"received_at":"yesterday","body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":"","body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":true,"body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":{{}},"body":{body()}}}'),
    ("old_received_at", f'{{"received_at":5,"body":{body()}}}'),
    ("old_received_at", f'{{"received_at":"0001-01-01","body":{body()}}}'),
    ("old_received_at", f'{{"received_at":"2017-12-31T23:59:59Z","body":{body()}}}'),
    ("old_received_at", body(value=messages("1500000000", 0))),
    ("missing_waba", '{"contacts":[],"messages":[{"id":"x"}]}'),
    ("missing_waba", '{"body":{"statuses":[]}}'),
    ("not_a_webhook", "[[]]"),
    ("not_a_webhook", '{"data":{"data":{"data":{"data":{"data":' + body() + "}}}}}"),
    ("bad_received_at", f'{{"received_at":"0001-01-01T00:00+99:00","body":{body()}}}'),
    ("future_received_at", f'{{"received_at":"2100-01-01T00:00:00Z","body":{body()}}}'),
    ("future_received_at", body(value=messages("9999999999"))),
    ("future_received_at", body(value=messages(1900000000000))),
]


@pytest.mark.parametrize(("code", "record"), REJECTED)
def test_rejected_with_a_reason(code: str, record: str | bytes) -> None:
    with pytest.raises(Rejection, match=f"^{code}: "):
        read(record)


def test_reason_names_the_place() -> None:
    with pytest.raises(Rejection) as rejection:
        read(body(value='{"messages":[[],5]}'))
    expected = (
        "wrong_type: Expected `object`, got `array` - at `$.entry[0].changes[0].value.messages[0]`"
    )
    assert str(rejection.value) == expected + "; try again with `make retry` after an upgrade"


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (body(value=messages("1790000000", 1790000005, "1780000000")), 1790000005),
        (body(value='{"statuses":[{"timestamp":"1790000001"}]}'), 1790000001),
        (body(value='{"standby":{"messages":[{"timestamp":"1790000002"}]}}'), 1790000002),
        (body(value='{"state_sync":[{"metadata":{"timestamp":"1790000003"}}]}'), 1790000003),
        (body(value='{"deep":[{"er":{"timestamp":1790000004}}]}', field='"new"'), 1790000004),
        (body(value=messages("1790000000"), field='"history"'), None),
        (body(value=messages("no", None, "", -5)), None),
        (body(value=messages("1790000000123")), 1790000000),
        (body(value=messages(1790000000123, "1780000000")), 1790000000),
        (body(value=messages("9999999999", "1500000000", "1780000000", "nan")), 1780000000),
        (START + ',"entry":[{"id":"1","time":1790000006,"changes":[]}]}', 1790000006),
    ],
)
def test_received_at_of_a_bare_body(record: str, seconds: int | None) -> None:
    assert read(record) == (record.encode(), seconds * SECOND if seconds else FALLBACK)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-09-21T14:13:20Z", 1790000000),
        ("2026-09-21T14:13:20.5+00:00", 1790000000.5),
        ("2026-09-21T11:13:20-03:00", 1790000000),
        ("2026-09-21 14:13:20", 1790000000),
        ("20260921T141320Z", 1790000000),
    ],
)
def test_received_at_of_an_envelope(text: str, seconds: float) -> None:
    inner = body(value=messages("1700000000"), extra=',"a" : "ação"')
    for packed in (inner, json.dumps(inner), json.dumps(inner, ensure_ascii=False)):
        record = f'{{"extra":1,"body": {packed} ,"received_at":"{text}"}}'
        assert read(record) == (inner.encode(), seconds * SECOND)
    assert read(f'{{"received_at":null,"body":{inner}}}')[1] == 1700000000 * SECOND


def test_byte_order_mark_is_taken_off() -> None:
    assert read("\ufeff" + body())[0] == body().encode()


# Broken and unbroken JSON around the things that parsers disagree about.
scraps = st.sampled_from(
    [
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "NaN",
        "1e999",
        "-0",
        "0",
        ".5",
        "tru",
        "true",
        "null",
    ]
    + [
        "\\ud83d",
        "\\ude00",
        "\\u0000",
        "\\n",
        "\x00",
        "\x1f",
        "\x7f",
        "ç",
        "😀",
        "a",
        " ",
        "/*",
        "//",
    ]
).map(str.encode)
rubbish = st.lists(
    st.one_of(
        scraps, st.binary(max_size=3), st.sampled_from([b"\xed\xa0\x80", b"\xf5", b"\xc0\xaf"])
    ),
    max_size=8,
).map(b"".join)
plain = (
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    .flatmap(lambda value: st.booleans().map(lambda flag: json.dumps(value, ensure_ascii=flag)))
    .map(lambda text: text.encode(errors="surrogatepass"))
)
quoted = rubbish.map(lambda text: b'"' + text + b'"')


@settings(max_examples=500, deadline=None)
@given(st.one_of(rubbish, quoted, plain), st.booleans())
def test_whatever_is_accepted_duckdb_reads(part: bytes, as_key: bool) -> None:
    middle = part + b":1" if as_key else b'"a":' + part
    record = body(extra=",§}").encode().partition("§".encode())[0] + middle + b"}"
    try:
        accepted, _ = read(record)
    except Rejection:
        return
    repaired, count = _repair_surrogates(record.decode(errors="replace").encode())
    assert accepted == repaired
    assert count or accepted == record or b"\xef\xbf\xbd" in accepted
    query = 'select json_valid($1), encode($1), from_json($1, \'{"object":"VARCHAR"}\').object'
    found = CONNECTION.execute(query, [accepted.decode()]).fetchone()
    assert found == (True, accepted, "whatsapp_business_account")


CONNECTION = duckdb.connect()


# --- A bad part costs itself ----------------------------------------------------------------------


def read_all(record: object, **options: object) -> tuple:
    text = record if isinstance(record, bytes | str) else json.dumps(record)
    line = text if isinstance(text, bytes) else text.encode()
    return RecordReader(fallback=FALLBACK, latest=LATEST, **options).read(line)


GOOD = {"id": "good", "timestamp": "1790000000", "from": "5511900000001"}


def with_values(*values: dict, field: str = "messages") -> dict:
    changes = [{"field": field, "value": value} for value in values]
    return {"object": "whatsapp_business_account", "entry": [{"id": "2", "changes": changes}]}


def value_of(text: bytes, change: int = 0) -> dict:
    return json.loads(text)["entry"][0]["changes"][change]["value"]


BAD_ITEMS = [
    None,
    5,
    "x",
    True,
    [],
    [{}],
    {"timestamp": True},
    {"timestamp": {}},
    {"timestamp": []},
]


@pytest.mark.parametrize("bad", BAD_ITEMS)
@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("messages", "messages"),
        ("messages", "statuses"),
        ("smb_message_echoes", "message_echoes"),
        ("calls", "calls"),
        ("user_preferences", "user_preferences"),
        ("user_id_update", "user_id_update"),
        ("group_participants_update", "groups"),
        ("standby", "standby.messages"),
    ],
)
def test_one_bad_item_goes_and_the_others_stay(field: str, name: str, bad: object) -> None:
    items: dict = {name.removeprefix("standby."): [GOOD, bad, {**GOOD, "id": "last"}]}
    value = {"standby": items} if name.startswith("standby") else items
    body, received_at, (part,), repairs = read_all(with_values(value, field=field))
    kept = value_of(body)
    kept = kept["standby"] if name.startswith("standby") else kept
    assert [item["id"] for item in kept[name.removeprefix("standby.")]] == ["good", "last"]
    assert (received_at, repairs) == (1_790_000_000 * SECOND, 0)
    assert part.json_path == f"$.entry[0].changes[0].value.{name}[1]"
    assert part.json_path in part.reason and part.reason.startswith("wrong_type: ")
    cut = json.loads(part.record)
    assert cut["received_at"] == "2026-09-21T14:13:20+00:00"
    inner = cut["body"]["entry"][0]
    assert (inner["id"], inner["changes"][0]["field"]) == ("2", field)
    assert json.dumps(bad) in json.dumps(inner)


def test_bad_part_takes_its_contact_along_and_nobody_elses() -> None:
    contacts = [{"wa_id": f"551190000000{n}", "user_id": f"BR.{n}00"} for n in range(3)]
    bad = {"timestamp": False, "from": "5511900000002"}
    metadata = {"phone_number_id": "3"}
    record = with_values({"metadata": metadata, "contacts": contacts, "messages": [GOOD, bad]})
    body, _, (part,), _ = read_all(record)
    assert value_of(body)["contacts"] == contacts
    cut = json.loads(part.record)["body"]["entry"][0]["changes"][0]["value"]
    assert cut == {"metadata": metadata, "contacts": [contacts[2]], "messages": [bad]}


def test_what_tells_nothing_any_more_goes_whole() -> None:
    bad = {"contacts": [{"wa_id": "5511900000009"}], "messages": [None, 5]}
    body, _, (part,), _ = read_all(with_values({"messages": [GOOD]}, bad))
    assert len(json.loads(body)["entry"][0]["changes"]) == 1
    assert part.json_path == "$.entry[0].changes[1]"
    assert json.loads(part.record)["body"]["entry"][0]["changes"][0]["value"] == bad
    with pytest.raises(Rejection, match="wrong_type.*messages.0."):
        read_all(with_values(bad))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"metadata": 5}, ".metadata"),
        ({"contacts": {}}, ".contacts"),
        ({"contacts": [None, {"wa_id": "1"}]}, ".contacts[0]"),
        ({"statuses": "x"}, ".statuses"),
        ({"timestamp": True}, ".timestamp"),
        ({"history": [{"threads": [None, {"messages": [{}, 5]}]}]}, ".history[0].threads[0]"),
        ({"state_sync": [{"contact": {}}, {"contact": 5}]}, ".state_sync[1]"),
        ({"waba_info": []}, ".waba_info"),
    ],
)
def test_bad_keys_beside_good_items(value: dict, path: str) -> None:
    body, _, parts, _ = read_all(with_values({"messages": [GOOD], **value}))
    assert value_of(body)["messages"] == [GOOD]
    assert parts[0].json_path == "$.entry[0].changes[0].value" + path
    assert read_all(body) == (body, 1_790_000_000 * SECOND, (), 0)


def test_bad_entries_and_changes() -> None:
    record = with_values({"messages": [GOOD]})
    good = record["entry"][0]
    record["entry"] = [5, {"id": " ", "changes": []}, {**good, "time": []}, {"id": "3"}, None]
    record["entry"][2]["changes"] = [None, {"field": 5, "value": {}}, *good["changes"]]
    body, _, parts, _ = read_all(record)
    assert json.loads(body)["entry"] == [good]
    assert [part.json_path.removeprefix("$.entry") for part in parts] == [
        "[0]", "[1]", "[2].time", "[2].changes[0]", "[2].changes[1]", "[3]", "[4]"
    ]  # fmt: skip


def test_key_that_comes_twice_is_not_lost() -> None:
    text = json.dumps(with_values({"messages": [GOOD, None]})).replace(
        '"messages": [', '"messages": [{"id": "first"}], "messages": ['
    )
    body, _, parts, _ = read_all(text)
    assert value_of(body)["messages"] == [GOOD]
    assert [part.reason.partition(":")[0] for part in parts] == ["duplicate_key", "wrong_type"]
    assert "first" in parts[0].record.decode()


def test_too_many_bad_parts_are_one_rejection() -> None:
    with pytest.raises(Rejection, match="^too_many_bad_parts"):
        read_all(with_values({"messages": [GOOD, *[None] * 2000]}))
    with pytest.raises(Rejection, match="^too_many_bad_parts"):
        read_all("[" + "{}," * 1_000_000 + "0]")


@pytest.mark.parametrize(
    ("text", "repaired", "count"),
    [
        (b'"\\ud83d"', "\ufffd", 1),
        (b'"\\ude00 \\ud83d\\ude00 \\uD83D\\ud83d\\ude00"', "\ufffd 😀 \ufffd😀", 2),
        (b'"\\\\ud83d"', "\\ud83d", 0),
        (b'"a\xffb"', "a\ufffdb", 1),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd", 3),
        (b'"\xc3"', "\ufffd", 1),
    ],
)
@pytest.mark.parametrize("packed", ["bare", "object", "text"])
def test_strings_become_valid_unicode(text: bytes, repaired: str, count: int, packed: str) -> None:
    record = json.dumps(with_values({"messages": [{**GOOD, "text": "§"}]})).encode()
    record = record.replace(b'"\\u00a7"', text)
    if packed == "object":
        record = b'{"received_at":"2026-09-21T14:13:20Z","body":' + record + b"}"
    if packed == "text":
        quoted = record.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        record = b'{"received_at":"2026-09-21T14:13:20Z","body":"' + quoted + b'"}'
    body, _, parts, repairs = read_all(record)
    assert (value_of(body)["messages"][0]["text"], repairs, parts) == (
        repaired,
        count,
        [] if count else parts,
    )


# --- Gateways -------------------------------------------------------------------------------------

BODY = with_values({"messages": [GOOD]})
TEXT = json.dumps(BODY)
BASE64 = base64.b64encode(TEXT.encode()).decode()
TOLD = "2026-09-21T15:00:00Z"
TOLD_MS = 1_790_002_800_000
GATEWAYS = {
    "envelope without a time": ({"body": BODY}, False),
    "envelope, base64": ({"received_at": TOLD, "body": BASE64}, True),
    "envelope, seconds": ({"received_at": TOLD_MS // 1000, "body": BODY}, True),
    "SQS to Lambda": (
        {"Records": [{"messageId": "1", "body": TEXT, "attributes": {"SentTimestamp": str(TOLD_MS)}}]},
        True,
    ),
    "SQS receive-message": ({"Messages": [{"Body": TEXT, "Attributes": {"SentTimestamp": str(TOLD_MS)}}]}, True),
    "SNS": ({"Type": "Notification", "Message": TEXT, "Timestamp": TOLD}, True),
    "SNS in SQS": (
        {"Records": [{"body": json.dumps({"Message": TEXT, "Timestamp": TOLD}),
                      "attributes": {"SentTimestamp": str(TOLD_MS + 9000)}}]},
        True,
    ),
    "SNS to Lambda": ({"Records": [{"Sns": {"Message": TEXT, "Timestamp": TOLD}}]}, True),
    "Kinesis": (
        {"Records": [{"kinesis": {"data": BASE64, "approximateArrivalTimestamp": TOLD_MS / 1000}}]},
        True,
    ),
    "EventBridge": ({"detail-type": "x", "time": TOLD, "detail": BODY}, True),
    "EventBridge, text inside": ({"time": TOLD, "detail": {"body": TEXT}}, True),
    "Pub/Sub push": ({"message": {"data": BASE64, "publishTime": TOLD}, "subscription": "s"}, True),
    "Kafka": ({"topic": "t", "offset": 5, "timestamp": TOLD_MS, "value": TEXT}, True),
    "Kafka, object": ({"timestamp": TOLD_MS, "value": BODY}, True),
    "Kafka Connect with a schema": ({"schema": {"type": "string"}, "payload": TEXT}, False),
    "Debezium": ({"payload": {"after": {"payload": TEXT, "created_at": TOLD}}}, True),
    "Airbyte": ({"_airbyte_data": BODY, "_airbyte_extracted_at": TOLD_MS}, True),
    "Airbyte, a table": ({"_airbyte_data": {"payload": TEXT}, "_airbyte_emitted_at": TOLD}, True),
    "Fivetran": ({"_fivetran_synced": TOLD, "event": TEXT}, True),
    "Hookdeck": ({"id": "e", "created_at": TOLD, "data": {"headers": {}, "body": BODY}}, True),
    "API Gateway": (
        {"body": BASE64, "isBase64Encoded": True, "requestContext": {"requestTimeEpoch": TOLD_MS}},
        True,
    ),
    "API Gateway, HTTP": ({"body": TEXT, "requestContext": {"timeEpoch": TOLD_MS}}, True),
    "n8n": ([{"headers": {}, "params": {}, "body": BODY}], False),
    "table row": ({"id": 5, "payload": TEXT, "created_at": "2026-09-21 15:00:00+00"}, True),
    "table row, raw": ({"raw": TEXT, "inserted_at": "2026-09-21 15:00:00 UTC"}, True),
    "Logstash": ({"@timestamp": TOLD, "message": TEXT}, True),
    "Logstash, original": ({"@timestamp": TOLD, "event": {"original": TEXT}}, True),
    "CloudEvents": ({"specversion": "1.0", "time": TOLD, "data": BODY}, True),
    "CloudEvents, base64": ({"specversion": "1.0", "time": TOLD, "data_base64": BASE64}, True),
    "8x8": ({"eventDetails": {"rawEvent": BODY}}, False),
    "bare in a list": ([BODY], False),
}  # fmt: skip


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateway(name: str) -> None:
    record, is_told = GATEWAYS[name]
    expected = TOLD_MS * 1000 if is_told else 1_790_000_000 * SECOND
    reader = RecordReader(fallback=FALLBACK, latest=LATEST)
    for number in range(3):  # the first is searched, the others take the way it went
        text = json.dumps(record).replace("good", f"good{number}")
        text = text.replace(
            BASE64, base64.b64encode(TEXT.replace("good", f"good{number}").encode()).decode()
        )
        body, received_at, parts, repairs = reader.read(text.encode())
        assert body.decode() == TEXT.replace("good", f"good{number}")
        assert (received_at, list(parts), repairs) == (expected, [], 0)
    assert reader.read(json.dumps(BODY).encode())[0].decode() == TEXT


def test_way_of_one_record_is_not_forced_on_the_next() -> None:
    reader = RecordReader(fallback=FALLBACK, latest=LATEST)
    records = [record for record, _ in GATEWAYS.values()] * 2
    random.Random(1).shuffle(records)
    for record in records:
        alone = RecordReader(fallback=FALLBACK, latest=LATEST).read(json.dumps(record).encode())
        together = reader.read(json.dumps(record).encode())
        assert (*together[:2], list(together[2]), together[3]) == (
            *alone[:2],
            list(alone[2]),
            alone[3],
        )


def test_several_bodies_in_one_record_are_one_webhook() -> None:
    other = TEXT.replace("good", "other")
    records = [
        {"body": text, "attributes": {"SentTimestamp": TOLD_MS}} for text in (TEXT, "x", other)
    ]
    reader = RecordReader(fallback=FALLBACK, latest=LATEST)
    for _ in range(2):
        body, received_at, (part,), _ = reader.read(json.dumps({"Records": records}).encode())
        entries = json.loads(body)["entry"]
        assert entries == [*BODY["entry"], *json.loads(other)["entry"]]
        assert received_at == TOLD_MS * 1000
        assert part.json_path == "$.Records[1]"
        assert json.loads(part.record)["body"] == records[1]
    records[0]["attributes"] = {"SentTimestamp": TOLD_MS + 2 * DAY * 1000}
    with pytest.raises(Rejection, match="^several_receipts"):
        read_all({"Records": records})


@pytest.mark.parametrize("time", ["soon", "1999-01-01", None, 5, True, [], "2026-09-01T00:00:00Z"])
def test_gateway_time_that_cannot_be_the_receipt_is_passed_over(time: object) -> None:
    assert read_all({"created_at": time, "payload": BODY})[1] == 1_790_000_000 * SECOND


@pytest.mark.parametrize(
    "key",
    ['a"b', "a\\b", "\x00", "\n", "", " ", "body", "self", "class", "😀", "a.b", "x" * 10_000],
)
def test_a_key_may_have_any_name(key: str) -> None:
    record = {key: "told", "payload": json.loads(body())}
    assert json.loads(read(json.dumps(record))[0]) == json.loads(body())


def test_body_path() -> None:
    record = {"a": {"b": [{"c": TEXT, "timestamp": TOLD_MS}]}}
    with pytest.raises(Rejection, match="BODY_PATH"):
        read_all(record)
    body, received_at, _, _ = read_all(record, body_path=("a", "b", "c"))
    assert (body.decode(), received_at) == (TEXT, TOLD_MS * 1000)
    assert describe(json.dumps(record).encode()) == "a webhook body is in it: set BODY_PATH=a.b.c"


def test_on_premise_body_in_a_folder_of_its_waba() -> None:
    value = {"contacts": [{"wa_id": "5511900000001"}], "messages": [GOOD], "metadata": {"x": 1}}
    for record in (value, {"received_at": TOLD, "body": value}, {"data": json.dumps(value)}):
        body = json.loads(read_all(record, waba_id="77")[0])
        assert body["entry"] == [{"id": "77", "changes": [{"field": "messages", "value": value}]}]


def test_description_shows_keys_and_nothing_about_anybody() -> None:
    record = {
        "From": "whatsapp:+5511900000001",
        "5511900000001": {"name": "Ana"},
        "a": {"b": "Ana"},
    }
    shown = describe(json.dumps(record).encode())
    assert shown.startswith("it is an object with From, ... (name), a (b), and no body")
    assert describe(b"hello") == "it is no JSON"


# --- Anything at all ------------------------------------------------------------------------------

SHAPE = json.dumps(
    {"entry": [{"id": "VARCHAR", "time": "VARCHAR", "changes": [{"field": "VARCHAR", "value": {
        "contacts": [{"wa_id": "VARCHAR", "profile": {"name": "VARCHAR"}}],
        "messages": [{"id": "VARCHAR", "timestamp": "VARCHAR", "context": {"id": "VARCHAR"}}],
        "standby": {"messages": [{"id": "VARCHAR"}]},
        "history": [{"threads": [{"messages": [{"id": "VARCHAR"}]}]}],
    }}]}]}
)  # fmt: skip
READ = f"""
    with body as (select $1 as text, from_json($1, '{SHAPE}') as body)
    select json_valid(text), len(body.entry), json_structure(text) is not null, (
        select count(*) from (select unnest(entry.changes) as change from (select unnest(body.entry) as entry))
        where change.field is null or change.value is null
    )
    from body
"""


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**40))
def test_mutated_records_are_read_by_duckdb_and_lose_no_item(seed: int) -> None:
    rng = random.Random(seed)
    reader = RecordReader(fallback=FALLBACK, latest=LATEST, body_path=("unknown",))
    line = mutate(sound_record(rng), rng)
    try:
        body, received_at, parts, _ = reader.read(line.strip(b" \t\r\n"))
    except Rejection:
        return
    assert 1_514_764_800 * SECOND <= received_at <= LATEST
    valid, entries, has_structure, blank = CONNECTION.execute(READ, [body.decode()]).fetchone()
    assert (valid, has_structure, blank) == (True, True, 0)
    assert entries == len(json.loads(body)["entry"])
    # What was accepted once is accepted as it is.
    assert reader.read(body)[0] == body and not reader.read(body)[2]
    is_doubled = any(part.reason.startswith("duplicate_key") for part in parts)
    if not is_doubled and b"wamid" in line:
        written = set(re.findall(rb"wamid\\.[0-9a-f]{6,}", line))
        kept = set(
            re.findall(rb"wamid\\.[0-9a-f]{6,}", body + b"".join(part.record for part in parts))
        )
        assert written == kept
