"""One record: what is accepted, what is rejected for which reason, when it was received."""

import json

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing.records import MAX_BODY_BYTES, Rejection, read_record

SECOND = 1_000_000
FALLBACK = 5
LATEST = 1_800_000_000 * SECOND
START = '{"object":"whatsapp_business_account"'


def read(record: str | bytes, is_utf8: bool = False) -> tuple[bytes, int]:
    record = record.encode() if isinstance(record, str) else record
    return read_record(record, fallback=FALLBACK, latest=LATEST, is_utf8=is_utf8)


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
    " " + body(),
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
    ("bad_json", body(extra=',"a":"\\ud800"')),
    ("bad_json", body(extra=',"a":"\\x"')),
    ("bad_json", body(extra=',"a":"\x01"')),
    ("bad_encoding", body(extra=',"a":"').encode() + b'\xff"}'),
    ("bad_encoding", b"\xff\xfe{\x00}\x00"),
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
    ("wrong_type", body(value='{"contacts":{}}')),
    ("wrong_type", body(value='{"messages":[5]}')),
    ("wrong_type", body(value='{"statuses":[null]}')),
    ("wrong_type", body(value='{"standby":[]}')),
    ("wrong_type", body(value='{"history":[{"threads":5}]}')),
    ("bad_json", json.dumps({"body": "{"})),
    ("wrong_type", json.dumps({"body": START + "}"})),
    ("bad_received_at", f'{{"received_at":"yesterday","body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":"","body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":5,"body":{body()}}}'),
    ("bad_received_at", f'{{"received_at":"0001-01-01T00:00+99:00","body":{body()}}}'),
    ("future_received_at", f'{{"received_at":"2100-01-01T00:00:00Z","body":{body()}}}'),
    ("future_received_at", body(value=messages("9999999999"))),
    ("future_received_at", body(value=messages(1790000000000))),
]


@pytest.mark.parametrize(("code", "record"), REJECTED)
def test_rejected_with_a_reason(code: str, record: str | bytes) -> None:
    with pytest.raises(Rejection, match=f"^{code}: "):
        read(record)


def test_reason_names_the_place() -> None:
    with pytest.raises(Rejection) as rejection:
        read(body(value='{"messages":[{},[]]}'))
    expected = "wrong_type: Expected `object`, got `array` - at `$.entry[0].changes[0]"
    assert str(rejection.value) == expected + ".value.messages[1]`"


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
def test_whatever_is_accepted_duckdb_reads_byte_for_byte(part: bytes, as_key: bool) -> None:
    middle = part + b":1" if as_key else b'"a":' + part
    record = body(extra=",§}").encode().partition("§".encode())[0] + middle + b"}"
    try:
        accepted, _ = read(record)
    except Rejection:
        return
    assert accepted == record
    query = 'select json_valid($1), encode($1), from_json($1, \'{"object":"VARCHAR"}\').object'
    found = CONNECTION.execute(query, [accepted.decode()]).fetchone()
    assert found == (True, record, "whatsapp_business_account")


CONNECTION = duckdb.connect()
