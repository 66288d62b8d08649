"""Payloads of any shape into the loader, for FUZZ_SECONDS: each record is taken or rejected, in bounded time.

A minute in `make test`, an hour in `make test-deep`. A failure is shrunk by hypothesis and printed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import time
from datetime import datetime

import hypothesis
import pytest
import zstandard
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from orchestration.landing import load_landing_dir
from orchestration.landing.records import MAX_BODY_BYTES, RecordReader, Rejection
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse
from tests.mutations import FIELDS, LEAVES, mutate, sound_record

# In `make test-deep` a whole GiB.
EMPTY_MIB = 1024 if "FUZZ_SECONDS" in os.environ else 32
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
A_ROUND = 300
NOW = datetime(2026, 11, 1, 12)
FALLBACK, LATEST = 1_790_000_000_000_000, 1_793_577_600_000_000
# What a record may take of a processor: a fixed sum, and per MiB of its text.
RECORD_SECONDS, MIB_SECONDS = 0.5, 2.0
HOSTILE = [
    "'; drop table raw.webhook; --",
    '" or 1=1 --',
    "{{ ref('x') }}",
    "$(touch x)",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "C:\\nul",
    "\x1b]0;x\x07",
    "\u202egro",
    "e\u0301\u200d\ufeff",
    "2026-02-30T25:61:61Z",
    "٠١٢٣",
    "1790000000.5",
    "-62135596801",
    "NaN",
    "9" * 400,
]
KEYS = ["object", "entry", "id", "time", "changes", "field", "value", "metadata", "contacts", "messages", "statuses",
        "from", "timestamp", "type", "text", "body", "wa_id", "user_id", "profile", "name", "context", "system", "errors",
        "received_at", "Records", "payload", "history", "threads", "phones", ""]  # fmt: skip

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(HOSTILE)
    | st.sampled_from(LEAVES)
)
keys = st.sampled_from(KEYS) | st.text(max_size=5) | st.sampled_from(HOSTILE)
nodes = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
items = st.lists(
    st.fixed_dictionaries({}, optional={key: nodes for key in KEYS}) | nodes, max_size=4
)
changes = st.fixed_dictionaries(
    {
        "field": st.sampled_from(FIELDS) | nodes,
        "value": nodes
        | st.fixed_dictionaries(
            {"messaging_product": st.just("whatsapp")},
            optional={
                name: items for name in ("contacts", "messages", "statuses", "message_echoes")
            },
        ),
    }
)
bodies = st.fixed_dictionaries(
    {
        "object": st.just("whatsapp_business_account") | nodes,
        "entry": st.lists(
            st.fixed_dictionaries(
                {"id": st.just("1") | nodes, "changes": st.lists(changes, max_size=3)}
            ),
            max_size=3,
        )
        | nodes,
    }
)


def written(node: object, rng: random.Random) -> str:
    """JSON in which now and then a key comes twice."""
    if isinstance(node, dict):
        pairs = [f"{json.dumps(key)}:{written(value, rng)}" for key, value in node.items()]
        if pairs and rng.random() < 0.05:
            pairs.append(rng.choice(pairs))
        return "{" + ",".join(pairs) + "}"
    if isinstance(node, list):
        return "[" + ",".join(written(value, rng) for value in node) + "]"
    return json.dumps(node, ensure_ascii=rng.random() < 0.5)


def spoiled(body: object, seed: int) -> bytes:
    """A line of this body: as it is, broken or wrapped like other records, very deep, or very long."""
    return _spoiled(body, random.Random(seed)).strip(b" \t\r\n") or b"{"


def _spoiled(body: object, rng: random.Random) -> bytes:
    act = rng.random()
    if act < 0.3 and isinstance(body, dict):
        return mutate(body, rng)
    if act < 0.5:
        return mutate(sound_record(rng), rng)
    text = written(body, rng)
    if act < 0.55:
        depth = rng.choice([30, 200, 2_000, 50_000])
        text = text.replace("null", "[" * depth + "]" * depth, 1)
        text = text.replace("true", '{"a":' * depth + "1" + "}" * depth, 1)
    elif act < 0.57:
        text = text.replace('""', json.dumps(rng.choice("a\U0001f600\x00") * (1 << 18)), 1)
    elif act < 0.571:
        text = text.replace("null", "[" + "{}," * (1 << 20) + "0]", 1)
    return text.encode(errors="surrogatepass").replace(b"\n", b" ")


# hypothesis makes a body in the time in which ten are read
lines = st.builds(
    lambda body, seed: [spoiled(body, seed + place) for place in range(10)],
    bodies | nodes,
    st.integers(0, 2**32),
)


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "in").mkdir()
    return Settings(landing_dir=tmp_path / "in", warehouse_path=tmp_path / "w.duckdb")


def test_each_record_is_taken_or_rejected_in_bounded_time(settings):
    until = time.monotonic() + SECONDS
    rounds = tried = 0
    while rounds == 0 or time.monotonic() < until:
        reader = RecordReader(fallback=FALLBACK, latest=LATEST, body_path=("payload",))
        seen: list[bytes] = []

        @hypothesis.seed(SEED * 1_000_000 + rounds)
        @hypothesis.settings(
            max_examples=A_ROUND,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(lines)
        def read(several: list[bytes]) -> None:
            for line in several:
                check(reader, line)  # noqa: B023
            seen.extend(several)  # noqa: B023

        read()
        load(settings, rounds, seen)
        tried += len(seen)
        rounds += 1
    print(f"{tried} records in {rounds} rounds")


def test_a_gigabyte_of_empty_records_takes_a_minute_and_little_memory(settings):
    lines = (1 << 20) // 3
    with (settings.landing_dir / "empty.jsonl").open("wb") as file:
        for _ in range(EMPTY_MIB):
            file.write(b"{}\n" * lines)
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings, now=NOW)
    seconds = time.process_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{EMPTY_MIB} MiB in {seconds:.1f} s of a processor, {grown:.0f} MB more")
    assert (result.records, result.rejected_count) == (0, EMPTY_MIB * lines)
    assert seconds < 1 + 60 * EMPTY_MIB / 1024
    assert grown < 300


def check(reader: RecordReader, line: bytes) -> None:
    # a collection of garbage may fall into one reading: it is that of this process, not of the record
    for _ in range(3):
        begun = time.process_time()
        try:
            body, received_at, _, _ = reader.read(line)
        except Rejection:
            body = None
        spent = time.process_time() - begun
        if spent < RECORD_SECONDS + MIB_SECONDS * len(line) / (1 << 20):
            break
    else:
        raise AssertionError(f"{spent} s for {len(line)} bytes, three times")
    if body is not None:
        assert len(body) <= MAX_BODY_BYTES
        assert 0 < received_at <= LATEST


def load(settings: Settings, number: int, seen: list[bytes]) -> None:
    """The same lines as a landing file, plain or packed: each is a row of raw.webhook or of raw.rejected_record."""
    sound = json.dumps(sound_record(random.Random(number))).encode()
    text = b"\n".join([sound, *seen, b""])
    pack, end = [
        (bytes, ""),
        (gzip.compress, ".gz"),
        (zstandard.ZstdCompressor().compress, ".zst"),
    ][number % 3]
    path = settings.landing_dir / f"{number:06}.jsonl{end}"
    path.write_bytes(pack(text))
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings, now=NOW)
        assert result.left_out == {}
        assert result.records + result.rejected_count == len(seen) + 1
        assert result.records >= 1
        (unread,) = warehouse.execute(
            "select count(*) from raw.webhook where not json_valid(body)"
        ).fetchone()
        assert unread == 0
        # what a year of rounds would leave behind
        warehouse.execute("truncate raw.webhook; truncate raw.rejected_record")
