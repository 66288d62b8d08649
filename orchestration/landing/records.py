"""One record of a landing file: which webhook body is in it, and when was it received?

A record is Meta's body as it was sent, an envelope with `received_at` and `body`, or what a gateway made
of it (queues, event buses, table rows, ...): then the body is looked for where gateways put it. A body is
taken as it is when it is strict JSON (UTF-8, no NaN, no trailing comma, no lone surrogate) and its
entries, changes and lists of items have the types that the models read. Otherwise it is mended: strings
become valid Unicode, and every part of a wrong type is cut out as a record of its own, with its path.
msgspec checks the syntax of what it skips, but not its UTF-8: see `is_utf8`.
"""

import base64
import binascii
import json
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Raw

WEBHOOK_OBJECT = "whatsapp_business_account"
MAX_BODY_BYTES = 3 * 1024 * 1024
# No gateway puts so many records into one; each part that is left out is kept, so they are bounded.
MAX_STRANGERS = 10_000
BOM = b"\xef\xbb\xbf"
WHITESPACE = b" \t\r\n"
# Before the WhatsApp Business API existed nobody received a webhook of it.
EARLIEST = 1_514_764_800_000_000  # 2018-01-01, microseconds since 1970

# Kinds of change whose value is read by the models. Of any other kind only `value` being an object
# is asked for: its keys may mean something else.
KNOWN_FIELDS = frozenset(
    [
        "account_update",
        "calls",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "history",
        "messages",
        "smb_app_state_sync",
        "smb_message_echoes",
        "standby",
        "user_id_update",
        "user_preferences",
    ]
)

# Keys under which gateways keep what they received, in lower case.
BODY_KEYS = frozenset(
    [
        "_airbyte_data",  # Airbyte
        "after",  # Debezium
        "body",  # SQS, Lambda, API Gateway, n8n, Hookdeck
        "content",
        "data",  # Pub/Sub, CloudEvents, Event Grid, Kinesis
        "data_base64",  # CloudEvents
        "detail",  # EventBridge
        "event",  # Fivetran
        "eventdetails",  # 8x8
        "json",
        "kinesis",
        "message",  # SNS, Pub/Sub, Logstash
        "original",  # Logstash: event.original
        "payload",  # Kafka Connect with a schema, table rows
        "raw",
        "raw_body",
        "raw_payload",
        "rawbody",
        "rawevent",
        "records",  # SQS and SNS to Lambda, Firehose
        "sns",
        "value",  # Kafka
        "webhook",
    ]
)
BODY_DEPTH = 4  # keys on the way to a body, at most
# Where gateways tell when they received it, in lower case; the first that there is counts. Next to the
# body itself first: what wraps it again came later.
TIME_KEYS = {
    name: rank
    for rank, name in enumerate(
        [
            "received_at",
            "receivedat",
            "requesttimeepoch",  # API Gateway
            "timeepoch",
            "senttimestamp",  # SQS
            "approximatearrivaltimestamp",  # Kinesis
            "publishtime",  # Pub/Sub
            "publish_time",
            "time",  # EventBridge, CloudEvents
            "timestamp",  # SNS, Kafka
            "@timestamp",  # Logstash
            "created_at",
            "createdat",
            "ingested_at",
            "inserted_at",
            "event_time",
            "eventtime",
            "_airbyte_extracted_at",
            "_airbyte_emitted_at",
            "_fivetran_synced",
        ]
    )
}
TIME_HOLDERS = frozenset(["requestcontext", "attributes"])

# What to do about a rejection, by its code.
CURES = {
    "bad_json": "bring the record again as it was received",
    "forgotten": "its text was dropped and is nowhere",
    "duplicate_key": "the last is kept, this is the body as it was",
    "bad_received_at": "give the receipt time as ISO 8601 or leave it out",
    "future_received_at": "correct the clock or the time",
    "missing_waba": "put the file into a folder named waba_id=<the WABA's id>",
    "not_a_webhook": "if there is one in it, say where with BODY_PATH",
    "old_received_at": "correct the time",
    "several_receipts": "bring each webhook as a record of its own",
    "too_deep": "bring the record again as it was received",
    "too_large": "Meta sends no larger ones: look how it was made",
    "too_many_bad_parts": "look how the body was made",
    "wrong_type": "try again with `make retry` after an upgrade",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US


class Rejection(Exception):
    """What is not taken in; its text is the reason: a code, a colon, what is wrong, what would help."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(f"{code}: {what}; {CURES[code]}")


class Part(NamedTuple):
    """A piece of a body that is not taken in while the rest is."""

    json_path: str  # where it stood in the record
    reason: str
    # A record that holds this piece and nothing else, with the ids and contacts that belong to it:
    # once it is readable it can be loaded by itself.
    record: bytes


# What is checked and read of a body; other keys are skipped. None of these objects can be part of a
# reference cycle, hence gc=False: the garbage collector need not look at millions of them.
class _Object(msgspec.Struct, gc=False):
    pass


# It decides whose portfolio all of an entry is, and must not be blank.
_WabaId = Annotated[str, msgspec.Meta(pattern=r"\S")] | int
_Time = str | int | float | None


class _Item(msgspec.Struct, gc=False):
    timestamp: _Time = None


class _Thread(msgspec.Struct, gc=False):
    messages: list[_Object] | None = None


class _History(msgspec.Struct, gc=False):
    threads: list[_Thread] | None = None


class _StateSync(msgspec.Struct, gc=False):
    contact: _Object | None = None
    metadata: _Item | None = None


class _Standby(msgspec.Struct, gc=False):
    contacts: list[_Object] | None = None
    messages: list[_Item] | None = None
    statuses: list[_Item] | None = None
    message_echoes: list[_Item] | None = None


class _Value(msgspec.Struct, gc=False):
    metadata: _Object | None = None
    contacts: list[_Object] | None = None
    messages: list[_Item] | None = None
    statuses: list[_Item] | None = None
    message_echoes: list[_Item] | None = None
    standby: _Standby | None = None
    user_id_update: list[_Item] | None = None
    user_preferences: list[_Item] | None = None
    history: list[_History] | None = None
    state_sync: list[_StateSync] | None = None
    calls: list[_Item] | None = None
    groups: list[_Item] | None = None
    waba_info: _Object | None = None
    timestamp: _Time = None


class _Change(msgspec.Struct, gc=False):
    field: str
    value: _Value


class _Entry(msgspec.Struct, gc=False):
    id: _WabaId
    changes: list[_Change]
    time: _Time = None


_NULL = Raw(b"null")


class _Record(msgspec.Struct, gc=False):
    """Bare body and envelope in one, so that one pass over the bytes serves both."""

    object: str | None = None
    entry: list[_Entry] | None = None
    received_at: _Time = None
    # msgspec takes a union of Raw and None for None alone: an absent body is the text null.
    body: Raw = _NULL


class _LooseChange(msgspec.Struct, gc=False):
    field: str
    value: Raw


class _LooseEntry(msgspec.Struct, gc=False):
    id: _WabaId
    changes: list[_LooseChange]
    time: _Time = None


class _LooseBody(msgspec.Struct, gc=False):
    entry: list[_LooseEntry]


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_loose = msgspec.json.Decoder(_LooseBody).decode
_decode_value = msgspec.json.Decoder(_Value).decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_syntax = msgspec.json.Decoder(Raw).decode
_decode_time = msgspec.json.Decoder(_Time).decode
_encode = msgspec.json.encode

_DECODING_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
# What the quick ways stumble over: a closer look tells what it is.
_DETOUR = (msgspec.DecodeError, RecursionError, ValueError, OverflowError)

# (webhook body, received at, parts left out, strings repaired); the time in microseconds since 1970 UTC
Webhook = tuple[bytes, int, "list[Part] | tuple[()]", int]


class RecordReader:
    """Reads the records of one file, which are mostly alike.

    Times are microseconds since 1970 UTC. `fallback` is the time of receipt where neither envelope nor
    body has one; a receipt after `latest` is rejected. `waba_id` is whose bodies without `entry` are
    (on-premise API). `body_path` are the keys that lead to the body.
    """

    def __init__(
        self,
        *,
        fallback: int,
        latest: int,
        waba_id: str | None = None,
        body_path: tuple[str, ...] = (),
    ) -> None:
        self.fallback = fallback
        self.latest = latest
        self.waba_id = waba_id
        self.body_path = body_path
        self.route: Route | None = None  # to the body in the last record of a gateway

    def read(self, record: bytes, is_utf8: bool = False) -> Webhook:
        """The webhook in a record without whitespace around it; several bodies become one.

        `is_utf8` says that the bytes are known to be UTF-8. Raises Rejection.
        """
        if self.route is not None:
            try:
                if not is_utf8:
                    record.decode()
                return self._read_by_route(record)
            except _DETOUR:
                pass
        try:
            if not is_utf8:
                record.decode()
            # The quick way: a bare body or an envelope in which nothing is amiss.
            parsed = _decode_record(record)
            if parsed.object == WEBHOOK_OBJECT:
                if parsed.entry is not None and len(record) <= MAX_BODY_BYTES:
                    newest = newest_timestamp(parsed.entry, self.latest)
                    if newest:
                        return record, newest, (), 0
            elif type(parsed.received_at) is str and parsed.object is None:
                body = bytes(parsed.body)
                if body.startswith(b'"'):
                    body = _decode_text(body).encode()
                received_at = _iso_time(parsed.received_at)
                self._check(body, received_at)
                return body, received_at, (), 0
        except _DETOUR:
            pass
        return _Search(self).read(record)

    def _check(self, body: bytes, received_at: int) -> list[_Entry]:
        """The entries of a body that can be taken as it is; raises ValueError for any other."""
        parsed = _decode_record(body)
        if (
            parsed.object != WEBHOOK_OBJECT
            or parsed.entry is None
            or len(body) > MAX_BODY_BYTES
            or not EARLIEST <= received_at <= self.latest
        ):
            raise ValueError
        return parsed.entry

    def _read_by_route(self, record: bytes) -> Webhook:
        bodies, newest_receipt, oldest_receipt = [], 0, self.latest
        for body, time in self.route.follow(record):
            received_at = self.latest if time is None else _any_time(time)
            newest = newest_timestamp(self._check(body, received_at), self.latest)
            if time is None:
                received_at = newest
            if not newest or newest - _DAY_US > received_at:
                raise ValueError
            bodies.append(body)
            newest_receipt = max(newest_receipt, received_at)
            oldest_receipt = min(oldest_receipt, received_at)
        if not bodies or newest_receipt - oldest_receipt > _DAY_US:
            raise ValueError
        return merge_bodies(bodies), newest_receipt, (), 0


# --- Times ----------------------------------------------------------------------------------------


def newest_timestamp(entries: list[_Entry], latest: int) -> int:
    """The newest time of a body's items, from 2018 to `latest`; 0 if there is none.

    In microseconds since 1970. Read are the timestamps of a change's items, and the time of an entry
    (account events have no other); history changes are left aside.
    """
    newest = EARLIEST // _SECOND_US - 1
    last = latest // _SECOND_US
    for entry in entries:
        if entry.time is not None:
            newest = _newer(entry.time, newest, last)
        for change in entry.changes:
            if change.field == "history":
                continue
            value = change.value
            if value.timestamp is not None:
                newest = _newer(value.timestamp, newest, last)
            if value.messages:
                newest = _newest(value.messages, newest, last)
            if value.statuses:
                newest = _newest(value.statuses, newest, last)
            if value.message_echoes:
                newest = _newest(value.message_echoes, newest, last)
            if value.calls:
                newest = _newest(value.calls, newest, last)
            if value.user_preferences:
                newest = _newest(value.user_preferences, newest, last)
            if value.user_id_update:
                newest = _newest(value.user_id_update, newest, last)
            if value.groups:
                newest = _newest(value.groups, newest, last)
            if value.state_sync:
                syncs = [sync.metadata for sync in value.state_sync if sync.metadata]
                newest = _newest(syncs, newest, last)
            if standby := value.standby:
                for items in (standby.messages, standby.statuses, standby.message_echoes):
                    newest = _newest(items or [], newest, last)
    return newest * _SECOND_US if newest * _SECOND_US >= EARLIEST else 0


def _newest(items: list[_Item], newest: int, last: int) -> int:
    for item in items:
        timestamp = item.timestamp
        # Ten digits, as nearly always: the quick way.
        if type(timestamp) is str and len(timestamp) == 10 and timestamp.isdecimal():
            if newest < (seconds := int(timestamp)) <= last:
                newest = seconds
        elif timestamp is not None:
            newest = _newer(timestamp, newest, last)
    return newest


def _newer(timestamp: str | int | float, newest: int, last: int) -> int:
    seconds = _seconds(timestamp)
    return seconds if seconds is not None and newest < seconds <= last else newest


def _seconds(timestamp: Any) -> int | None:
    """Whole seconds since 1970 of a number of seconds or milliseconds; None for what is no time."""
    try:
        number = float(timestamp)
    except (ValueError, OverflowError):
        return None
    # As seconds it would lie beyond the year 5000: these are milliseconds.
    if number >= 100_000_000_000:
        number /= 1000
    return int(number) if 0 <= number <= 253_402_300_799 else None


def _any_timestamps(body: bytes) -> list[int]:
    """Seconds of every key `timestamp` or `time`, however deep, history changes aside."""
    try:
        stack = [msgspec.json.decode(body)]
    except msgspec.DecodeError:  # a number that no float holds: valid JSON all the same
        return []
    found = []
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict) and node.get("field") != "history":
            stack.extend(node.values())
            for time in (node.get("timestamp"), node.get("time")):
                if isinstance(time, str | int | float) and not isinstance(time, bool):
                    found.append(_seconds(time))
    return [seconds for seconds in found if seconds is not None]


def _iso_time(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time; without an offset it is UTC.

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    try:
        return (time - _EPOCH) // _MICROSECOND
    except OverflowError as error:
        raise ValueError from error


def _any_time(time: Any) -> int:
    """Microseconds since 1970 UTC of ISO 8601, or of a number of seconds up to nanoseconds.

    Raises ValueError.
    """
    if type(time) is str:
        if time[4:5] == "-":
            return _iso_time(time.removesuffix(" UTC"))
        try:
            time = int(time) if time.isdecimal() else float(time)
        except ValueError:
            return _iso_time(time)
    if time is None or not abs(time) < 1e20:
        raise ValueError
    for unit in (_SECOND_US, 1_000, 1):
        if abs(time) * unit < 100_000_000_000 * _SECOND_US:
            return int(time * unit)
    return int(time) // 1000


# --- Records that need a closer look --------------------------------------------------------------


class _Key(NamedTuple):
    """A step into an object on the way to a body."""

    name: str
    names: tuple[str, ...]  # all keys of the object
    time: tuple[str, ...]  # the keys that lead to its time of receipt; empty if it has none


class _Decoding(NamedTuple):
    """A step into a string."""

    is_base64: bool

    def decode(self, text: str) -> bytes:
        """Raises ValueError."""
        if self.is_base64:
            return binascii.a2b_base64(text, strict_mode=True).strip(WHITESPACE)
        return text.strip().encode()


_Step = _Key | _Decoding | int  # a number is the place in a list


class _Found(NamedTuple):
    """A webhook body in a record."""

    body: bytes
    steps: tuple[_Step, ...]
    received_at: int | None
    is_said: bool  # by a key `received_at`, which must be right

    @property
    def at(self) -> str:
        return _path(self.steps)


def _path(steps: tuple[_Step, ...]) -> str:
    """The steps as a JSON path; strings are looked into as if they were what they hold."""
    names = [
        f"[{step}]" if isinstance(step, int) else f".{step.name}"
        for step in steps
        if not isinstance(step, _Decoding)
    ]
    return "$" + "".join(names)


class _Search:
    """One record that is no plain body: the parts that are left out and the repairs add up here."""

    def __init__(self, reader: RecordReader) -> None:
        self.reader = reader
        self.latest = reader.latest
        self.found: list[_Found] = []
        self.problems: list[Rejection] = []
        self.repairs = 0
        self.parts: list[Part] = []

    def read(self, record: bytes) -> Webhook:
        """As `RecordReader.read`."""
        text = record.removeprefix(BOM).strip(WHITESPACE)
        try:
            text.decode()
        except UnicodeDecodeError:
            before = text.count(b"\xef\xbf\xbd")
            text = text.decode(errors="replace").encode()
            self.repairs += text.count(b"\xef\xbf\xbd") - before
        self._find(text, (), 0, None, False)
        if not self.found:
            raise self.problems[0]
        bodies, times = [], []
        for found in self.found:
            try:
                body, entries = self._body(found)
                times.append(self._received_at(found, body, entries))
                bodies.append(body)
            except Rejection as rejection:
                if len(self.found) == 1:
                    raise
                self.problems.append(rejection)
                self.parts.append(Part(found.at, str(rejection), found.body))
        if not bodies:
            raise self.problems[-1]
        if max(times) - min(times) > _DAY_US:
            raise Rejection(
                "several_receipts", f"It holds {len(bodies)} webhooks of different days - at `$`"
            )
        received_at = max(times)
        self.reader.route = Route.to(self.found) or self.reader.route
        parts = [part._replace(record=_dated(part.record, received_at)) for part in self.parts]
        return merge_bodies(bodies), received_at, parts, self.repairs

    # Where is the body?

    def _find(
        self, text: bytes, steps: tuple[_Step, ...], depth: int, time: int | None, is_said: bool
    ) -> None:
        """Adds the bodies in a JSON text, or the problem that there is none."""
        if text.startswith(b"["):
            self._find_in_list(text, steps, depth, time, is_said)
            return
        try:
            keys = _decode_keys(text)
        except _DECODING_ERRORS:
            text = self._syntax(text, steps)
            if not text:
                return
            if not text.startswith(b"{"):
                self._no_webhook("It is not a JSON object", steps)
                return
            keys = _decode_keys(text)
        kind = _text(keys.get("object"))
        if kind == WEBHOOK_OBJECT:
            self.found.append(_Found(text, steps, time, is_said))
            return
        time_at = _time_key(keys)
        if time_at:
            said = keys[time_at[0]]
            value = bytes(_decode_keys(said)[time_at[1]] if len(time_at) > 1 else said)
            try:
                time, is_said = _any_time(_decode_time(value)), time_at == ("received_at",)
            except _DETOUR:
                if time_at == ("received_at",):
                    shown = value[:80].decode(errors="replace")
                    at = _path(steps) + ".received_at"
                    self.problems.append(
                        Rejection("bad_received_at", f"{shown} is no time - at `{at}`")
                    )
                    return
        before = len(self.found)
        names = tuple(keys)
        for name in self._candidates(names, depth):
            step = _Key(name, names, time_at)
            self._open(bytes(keys[name]), (*steps, step), depth + 1, time, is_said)
            if len(self.found) > before:
                return
        if "entry" not in keys and any(
            bytes(keys.get(name, b"")).startswith(b"[") for name in ("messages", "statuses")
        ):
            self._take_on_premise(text, steps, time, is_said)
        elif kind is not None:
            self._no_webhook(f"Its object is `{kind[:80]}`", steps)
        else:
            self._no_webhook("It has neither `object` nor a body", steps)

    def _find_in_list(
        self, text: bytes, steps: tuple[_Step, ...], depth: int, time: int | None, is_said: bool
    ) -> None:
        try:
            items = _decode_list(text)
        except _DECODING_ERRORS:
            text = self._syntax(text, steps)
            if not text:
                return
            items = _decode_list(text)
        for index, raw in enumerate(items):
            item, place, before = bytes(raw), (*steps, index), len(self.found)
            if not item.startswith(b"["):
                self._open(item, place, depth, time, is_said)
            if len(self.found) == before:
                self._no_webhook("It is none in a list", place)
                self.parts.append(Part(_path(place), str(self.problems[-1]), item))
                if len(self.parts) > MAX_STRANGERS + len(self.found):
                    raise Rejection(
                        "too_many_bad_parts",
                        f"Of {len(items)} few are webhooks - at `{_path(steps)}`",
                    )
        if not items:
            self._no_webhook("It is an empty list", steps)

    def _candidates(self, names: tuple[str, ...], depth: int) -> list[str]:
        path = self.reader.body_path
        said = [path[depth]] if depth < len(path) and path[depth] in names else []
        if depth >= BODY_DEPTH:
            return said
        return said + [name for name in names if name.lower() in BODY_KEYS or name == "Messages"]

    def _open(
        self, value: bytes, steps: tuple[_Step, ...], depth: int, time: int | None, is_said: bool
    ) -> None:
        """Looks into the value of a key: an object, a list, a string or base64 that holds one."""
        if value.startswith(b'"'):
            text = _decode_text(value)
            decoding = _Decoding(text.lstrip()[:1] not in ("{", "["))
            try:
                value = decoding.decode(text)
            except ValueError:
                return
            steps = (*steps, decoding)
        if value[:1] in (b"{", b"["):
            self._find(value, steps, depth, time, is_said)

    def _take_on_premise(
        self, text: bytes, steps: tuple[_Step, ...], time: int | None, is_said: bool
    ) -> None:
        waba_id = self.reader.waba_id
        if waba_id is None:
            at = _path(steps)
            self.problems.insert(
                0, Rejection("missing_waba", f"It is on-premise and names no WABA - at `{at}`")
            )
            return
        change = {"field": "messages", "value": Raw(text)}
        entry = {"id": waba_id, "changes": [change]}
        body = _encode({"object": WEBHOOK_OBJECT, "entry": [entry]})
        self.found.append(_Found(body, steps, time, is_said))

    def _no_webhook(self, what: str, steps: tuple[_Step, ...]) -> None:
        self.problems.append(Rejection("not_a_webhook", f"{what} - at `{_path(steps)}`"))

    def _syntax(self, text: bytes, steps: tuple[_Step, ...]) -> bytes:
        """The text as strict JSON, half emojis repaired; empty where it is none."""
        repaired, count = _repair_surrogates(text)
        at = _path(steps)
        try:
            _decode_syntax(repaired)
        except RecursionError:
            self.problems.append(Rejection("too_deep", f"It is nested too deeply - at `{at}`"))
        except _DECODING_ERRORS as error:
            self.problems.append(Rejection("bad_json", f"{error} - at `{at}`"))
        else:
            self.repairs += count
            return repaired
        return b""

    # What is in it?

    def _body(self, found: _Found) -> tuple[bytes, list[_Entry] | None]:
        """The body without its unreadable parts, and its entries where all of them are of known kinds."""
        body = found.body
        if len(body) > MAX_BODY_BYTES:
            raise Rejection(
                "too_large",
                f"The body has {len(body)} bytes, {MAX_BODY_BYTES} are allowed - at `{found.at}`",
            )
        try:
            entries = _decode_record(body).entry
            if entries is not None:
                return body, entries
        except _DECODING_ERRORS:
            pass
        try:
            _check_loosely(body)
            return body, None
        except _DECODING_ERRORS:
            pass
        mended, cuts = _mend(body, _BODY, found.at)
        if _has_duplicate_keys(body):
            self.parts.append(
                Part(
                    found.at,
                    str(Rejection("duplicate_key", f"One key twice - at `{found.at}`")),
                    body,
                )
            )
        volume = 0
        for cut in cuts:
            self.parts.append(Part(cut.at, str(cut.rejection), cut.wrap(cut.text)))
            volume += len(self.parts[-1].record)
            if volume > 4 * len(body) + (16 << 10):
                raise Rejection(
                    "too_many_bad_parts", f"{len(cuts)} parts cannot be read - at `{found.at}`"
                )
        return mended, _decode_record(mended).entry if _fits(mended) else None

    def _received_at(self, found: _Found, body: bytes, entries: list[_Entry] | None) -> int:
        newest = newest_timestamp(entries or [], self.latest)
        time = found.received_at
        if time is not None and (
            found.is_said or EARLIEST <= time <= self.latest and time > newest - _DAY_US
        ):
            source = "`received_at`"
        else:
            source, time = "its newest timestamp", newest
            if not time:
                last, first = self.latest // _SECOND_US, EARLIEST // _SECOND_US
                times = _any_timestamps(body)
                within = [seconds for seconds in times if first <= seconds <= last]
                time = max(within or times, default=0) * _SECOND_US
                if not times:
                    source, time = "the time of its file", self.reader.fallback
        if time > self.latest:
            raise Rejection(
                "future_received_at", f"By {source} it comes from over a day after this load"
            )
        if time < EARLIEST:
            raise Rejection("old_received_at", f"By {source} it comes from before 2018")
        return time


def _time_key(keys: dict[str, Raw]) -> tuple[str, ...]:
    """The keys that lead to the time of receipt that an object tells; empty if it tells none."""
    best, rank = (), len(TIME_KEYS)
    for name, value in keys.items():
        lower = name.lower()
        if TIME_KEYS.get(lower, rank) < rank and bytes(value) != b"null":
            best, rank = (name,), TIME_KEYS[lower]
        elif lower in TIME_HOLDERS and bytes(value).startswith(b"{"):
            for inner, time in _decode_keys(value).items():
                if TIME_KEYS.get(inner.lower(), rank) < rank and bytes(time) != b"null":
                    best, rank = (name, inner), TIME_KEYS[inner.lower()]
    return best


class Route:
    """The way to the bodies in a record, as found in one like it: C code walks most of it.

    A record that has another shape ends in a decoding error or ValueError, and is searched.
    """

    def __init__(self, steps: tuple[_Step, ...]) -> None:
        for cut, step in enumerate(steps):
            if isinstance(step, _Decoding):
                rest = Route(steps[cut + 1 :])
                self.collect = self._compile(steps[:cut], _through(step, rest))
                self.decode = msgspec.json.Decoder(_type(steps[:cut], str)).decode
                return
        self.collect = self._compile(steps, lambda raw, time, out: out.append((bytes(raw), time)))
        # Down to the body itself there may be nothing: then its text is needed, not what is in it.
        self.decode = msgspec.json.Decoder(_type(steps, Raw)).decode if steps else Raw

    @staticmethod
    def to(found: list["_Found"]) -> "Route | None":
        """The way that all bodies of a record have in common; None where there is none worth it."""
        steps = found[0].steps
        alike = {tuple(0 if isinstance(s, int) else s for s in each.steps) for each in found}
        try:
            return Route(steps) if steps and len(alike) == 1 else None
        except (
            ValueError
        ):  # a key that no field can be called by, or one that leads to the time as well
            return None

    def follow(self, record: bytes) -> list[tuple[bytes, Any]]:
        """(body, time of receipt as it is told) of every body."""
        out: list[tuple[bytes, Any]] = []
        self.collect(self.decode(record), None, out)
        return out

    @classmethod
    def _compile(cls, steps: tuple[_Step, ...], end: Callable) -> Callable:
        """A function that takes what was decoded, the time so far and the list to add to."""
        if not steps:
            return end
        inner = cls._compile(steps[1:], end)
        if isinstance(steps[0], int):

            def through_list(items: list, time: Any, out: list) -> None:
                for item in items:
                    inner(item, time, out)

            return through_list
        get_time = (
            operator.attrgetter(".".join(["time"] * len(steps[0].time))) if steps[0].time else None
        )

        def through_key(node: Any, time: Any, out: list) -> None:
            inner(node.body, time if get_time is None else get_time(node), out)

        return through_key


def _through(decoding: _Decoding, rest: Route) -> Callable:
    def through_string(text: str, time: Any, out: list) -> None:
        rest.collect(rest.decode(decoding.decode(text)), time, out)

    return through_string


def _type(steps: tuple[_Step, ...], end: Any) -> Any:
    """The type of what lies along some steps: only keys that the example had are allowed."""
    if not steps:
        return end
    step, inner = steps[0], _type(steps[1:], end)
    if isinstance(step, int):
        return list[inner]
    fields: list[Any] = [("body", inner)]
    rename = {"body": step.name}
    if step.time:
        kind = str | int | float
        if len(step.time) > 1:
            kind = msgspec.defstruct("Holder", [("time", kind)], rename={"time": step.time[1]})
        fields.append(("time", kind))
        rename["time"] = step.time[0]
    for index, name in enumerate(step.names):
        if name != step.name and name not in step.time[:1]:
            fields.append((f"other_{index}", Raw, _NULL))
            rename[f"other_{index}"] = name
    return msgspec.defstruct("Level", fields, rename=rename, forbid_unknown_fields=True, gc=False)


def _text(raw: Raw | None) -> str | None:
    value = b"" if raw is None else bytes(raw)
    return _decode_text(value) if value.startswith(b'"') else None


def _fits(body: bytes) -> bool:
    try:
        _decode_record(body)
    except _DECODING_ERRORS:
        return False
    return True


def _has_duplicate_keys(body: bytes) -> bool:
    """Whether an object in it names a key twice: mending keeps the last."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(keys := dict(pairs)) < len(pairs):
            raise KeyError
        return keys

    try:
        json.loads(body, object_pairs_hook=check, parse_int=str, parse_float=str)
    except KeyError:
        return True
    except RecursionError:
        return False
    return False


def _check_loosely(body: bytes) -> None:
    """Checks the types of a body change by change, of unknown kinds the outside only."""
    for entry in _decode_loose(body).entry:
        for change in entry.changes:
            if change.field in KNOWN_FIELDS:
                _decode_value(change.value)
            elif not bytes(change.value).startswith(b"{"):
                raise msgspec.DecodeError


_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def _repair_surrogates(text: bytes) -> tuple[bytes, int]:
    """The JSON text with U+FFFD for every half of an emoji, and how many there were."""
    count = 0

    def replacement(match: re.Match[bytes]) -> bytes:
        nonlocal count
        if match[1] is None:
            return match[0]
        count += 1
        return b"\\ufffd"

    return _SURROGATE.sub(replacement, text), count


def merge_bodies(bodies: list[bytes]) -> bytes:
    """One webhook body with the entries of all."""
    if len(bodies) == 1:
        return bodies[0]
    entries = [entry for body in bodies for entry in _decode_list(_decode_keys(body)["entry"])]
    return _encode({"object": WEBHOOK_OBJECT, "entry": entries})


def _dated(body: bytes, received_at: int) -> bytes:
    """A record of a body and the time of its receipt."""
    time = (_EPOCH + received_at * _MICROSECOND).isoformat()
    return _encode({"received_at": time, "body": Raw(body)})


# --- Mending --------------------------------------------------------------------------------------


class _Cut(NamedTuple):
    """A part that was taken out of a body; `wrap` makes a body of it."""

    at: str
    rejection: Rejection
    text: bytes
    wrap: Callable[[bytes], bytes]


class _Shape(NamedTuple):
    """An object in a body: what is looked at, and what goes with a part that is cut out of it."""

    keys: dict[str, Any]  # name -> _Shape, [_Shape] or the decoder of a plain value
    required: frozenset[str] = (
        frozenset()
    )  # without these readable, the object itself is unreadable
    items: frozenset[str] = frozenset()  # without any of these it tells nothing
    context: tuple[str, ...] = ()


_ANY = _Shape({})
_ITEM = _Shape({"timestamp": _decode_time}, frozenset(["timestamp"]))
_LISTS = frozenset(["messages", "statuses", "message_echoes"])
_STANDBY = _Shape(
    {"contacts": [_ANY]} | {name: [_ITEM] for name in _LISTS}, items=_LISTS, context=("contacts",)
)
_THREAD = _Shape({"messages": [_ANY]}, items=frozenset(["messages"]), context=("id", "context"))
_HISTORY = _Shape({"threads": [_THREAD]}, items=frozenset(["threads"]), context=("metadata",))
_SYNC = _Shape({"contact": _ANY, "metadata": _ITEM}, required=frozenset(["contact", "metadata"]))
_ITEM_LISTS = _LISTS | {"user_id_update", "user_preferences", "calls", "groups"}
_VALUE = _Shape(
    {
        "metadata": _ANY,
        "contacts": [_ANY],
        "standby": _STANDBY,
        "history": [_HISTORY],
        "state_sync": [_SYNC],
        "waba_info": _ANY,
        "timestamp": _decode_time,
    }
    | {name: [_ITEM] for name in sorted(_ITEM_LISTS)},
    items=_ITEM_LISTS | {"standby", "history", "state_sync", "event", "waba_info"},
    context=("messaging_product", "metadata", "contacts"),
)
_FIELD = msgspec.json.Decoder(str).decode
_CHANGE = _Shape(
    {"field": _FIELD, "value": _VALUE}, frozenset(["field", "value"]), context=("field",)
)
_UNKNOWN_CHANGE = _CHANGE._replace(keys={"field": _FIELD, "value": _ANY})
_ENTRY = _Shape(
    {"id": msgspec.json.Decoder(_WabaId).decode, "time": _decode_time, "changes": [_CHANGE]},
    frozenset(["id", "changes"]),
    context=("id", "time"),
)
_BODY = _Shape({"entry": [_ENTRY]}, frozenset(["entry"]), context=("object",))
_NEEDED = frozenset(["field", "value", "id", "changes", "entry"])  # must be there at all
_KINDS = {b"{": "object", b"[": "array", b'"': "str", b"t": "bool", b"f": "bool", b"n": "null"}
_STRINGS = re.compile(rb'"([^"\\]{3,200})"')


def _mend(
    text: bytes, shape: Any, at: str, wrap: Callable[[bytes], bytes] = bytes
) -> tuple[bytes, list[_Cut]]:
    """A piece of valid JSON without what is not of its shape, and what was cut out.

    Raises Rejection where nothing is left that would tell anything: then the piece itself is to be
    cut out of what it is in.
    """
    if isinstance(shape, _Shape):
        return _mend_object(text, shape, at, wrap)
    if isinstance(shape, list):
        return _mend_list(text, shape[0], at, wrap)
    try:
        shape(text)
    except _DECODING_ERRORS as error:
        raise Rejection("wrong_type", f"{str(error).partition(' - at')[0]} - at `{at}`") from None
    return text, []


def _mend_list(
    text: bytes, shape: _Shape, at: str, wrap: Callable[[bytes], bytes]
) -> tuple[bytes, list[_Cut]]:
    _expect("array", text, at)
    kept: list[Raw] = []
    cuts: list[_Cut] = []

    def wrap_item(part: bytes) -> bytes:
        return wrap(b"[" + part + b"]")

    for index, raw in enumerate(_decode_list(text)):
        item = bytes(raw)
        try:
            mended, inner = _mend(item, shape, f"{at}[{index}]", wrap_item)
        except Rejection as rejection:
            cuts.append(_Cut(f"{at}[{index}]", rejection, item, wrap_item))
        else:
            kept.append(Raw(mended))
            cuts += inner
    if cuts and not kept:
        raise cuts[0].rejection
    return (_encode(kept), cuts) if cuts else (text, cuts)


def _mend_object(
    text: bytes, shape: _Shape, at: str, wrap: Callable[[bytes], bytes]
) -> tuple[bytes, list[_Cut]]:
    _expect("object", text, at)
    keys = _decode_keys(text)
    if shape is _CHANGE and _text(keys.get("field")) not in KNOWN_FIELDS:
        shape = _UNKNOWN_CHANGE
    cuts: list[_Cut] = []
    contacts = _Contacts(keys)
    for name, inner_shape in shape.keys.items():
        value = bytes(keys.get(name, b"null"))
        if value == b"null" and name not in _NEEDED:
            continue

        def wrap_key(part: bytes, name: str = name) -> bytes:
            context = {key: keys[key] for key in shape.context if key in keys and key != name}
            if "contacts" in context:
                context["contacts"] = contacts.of(part)
            return wrap(_encode(context | {name: Raw(part)}))

        try:
            if name not in keys:
                raise Rejection("wrong_type", f"It lacks `{name}` - at `{at}`")
            mended, inner = _mend(value, inner_shape, f"{at}.{name}", wrap_key)
        except Rejection as rejection:
            if name in shape.required:
                raise
            cuts.append(_Cut(f"{at}.{name}", rejection, value, wrap_key))
            del keys[name]
        else:
            if inner:
                keys[name] = Raw(mended)
                cuts += inner
    left = (bytes(keys.get(name, b"null")) for name in shape.items)
    if cuts and shape.items and all(value in (b"null", b"[]") for value in left):
        raise cuts[0].rejection
    return (_encode(keys), cuts) if cuts else (text, cuts)


class _Contacts:
    """The contacts of a value, by the ids in them."""

    def __init__(self, keys: dict[str, Raw]) -> None:
        self.keys = keys
        self.by_id: dict[bytes, list[int]] | None = None
        self.all: list[Raw] = []

    def of(self, part: bytes) -> list[Raw]:
        """Those that share an id with a part; the only one belongs to all."""
        if self.by_id is None:
            self.all = _decode_list(self.keys["contacts"])
            self.by_id = {}
            for index, contact in enumerate(self.all):
                found = _decode_keys(contact)
                for name in ("wa_id", "user_id"):
                    if name in found:
                        self.by_id.setdefault(bytes(found[name]).strip(b'"'), []).append(index)
        if len(self.all) == 1:
            return self.all
        strings = set(_STRINGS.findall(part))
        return [self.all[i] for i in sorted({i for s in strings for i in self.by_id.get(s, ())})]


def _expect(kind: str, text: bytes, at: str) -> None:
    got = _KINDS.get(text[:1], "number")
    if got != kind:
        raise Rejection("wrong_type", f"Expected `{kind}`, got `{got}` - at `{at}`")


# --- Telling what a record looks like -------------------------------------------------------------

_TELLING_KEY = re.compile(r"[A-Za-z_@$][A-Za-z_.$-]{0,40}")


def describe(record: bytes) -> str:
    """What a record looks like, its keys only: no value and no key that may be about somebody."""
    text = record.removeprefix(BOM).strip(WHITESPACE)
    try:
        node = msgspec.json.decode(text)
    except (*_DECODING_ERRORS, ValueError):
        return "it is no JSON"
    place = _place_of_body(node)
    if place:
        return f"a webhook body is in it: set BODY_PATH={place}"
    return f"it is {_outline(node, 2)}, and no body with `object: {WEBHOOK_OBJECT}` is in it"


def _outline(node: Any, depth: int) -> str:
    if isinstance(node, list):
        return "a list of " + (_outline(node[0], depth) if node else "nothing")
    if not isinstance(node, dict):
        return "text" if isinstance(node, str) else "a plain value"
    names = []
    for name, value in list(node.items())[:12]:
        shown = name if _TELLING_KEY.fullmatch(name) else "..."
        if depth > 1 and isinstance(value, dict) and value:
            shown += " (" + _outline(value, depth - 1).removeprefix("an object with ") + ")"
        names.append(shown)
    return "an object with " + (", ".join(names) or "no keys")


def _place_of_body(node: Any) -> str | None:
    """The keys that lead to a webhook body, joined by dots."""
    waiting = [(node, ())]
    for _ in range(10_000):
        if not waiting:
            break
        value, place = waiting.pop(0)
        if isinstance(value, str):
            text = value.strip()
            if not text.startswith(("{", "[")):
                try:
                    text = base64.b64decode(text, validate=True).decode()
                except ValueError:
                    continue
            if WEBHOOK_OBJECT not in text:
                continue
            try:
                value = msgspec.json.decode(text)
            except (*_DECODING_ERRORS, ValueError):
                continue
        if isinstance(value, list):
            waiting += [(item, place) for item in value[:10]]
        elif isinstance(value, dict):
            if value.get("object") == WEBHOOK_OBJECT:
                return ".".join(place)
            waiting += [(inner, (*place, name)) for name, inner in value.items()]
    return None
