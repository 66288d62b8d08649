"""One record of a landing file: is it a webhook, what is its body, when was it received?

A body is accepted when it is strict JSON (UTF-8, no NaN, no trailing comma, no lone surrogate) and
its entries, changes and lists of items have the types that the models read. Whatever else is in it
is kept unread. msgspec checks the syntax of what it skips, but not its UTF-8: see `is_utf8`.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

WEBHOOK_OBJECT = "whatsapp_business_account"
MAX_BODY_BYTES = 3 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
WHITESPACE = b" \t\r\n"

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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000


class Rejection(Exception):
    """A record that is not taken in; its text is the reason: a code, a colon, what is wrong."""


# What is checked and read of a body; other keys are skipped. None of these objects can be part of a
# reference cycle, hence gc=False: the garbage collector need not look at millions of them.
class _Object(msgspec.Struct, gc=False):
    pass


# It decides whose portfolio all of an entry is, and must not be blank.
_WabaId = Annotated[str, msgspec.Meta(pattern=r"\S")] | int


class _Item(msgspec.Struct, gc=False):
    timestamp: str | int | float | None = None


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
    timestamp: str | int | float | None = None


class _Change(msgspec.Struct, gc=False):
    field: str
    value: _Value


class _Entry(msgspec.Struct, gc=False):
    id: _WabaId
    changes: list[_Change]
    time: str | int | float | None = None


_NULL = msgspec.Raw(b"null")


class _Record(msgspec.Struct, gc=False):
    """Bare body and envelope in one, so that one pass over the bytes serves both."""

    object: str | None = None
    entry: list[_Entry] | None = None
    received_at: str | None = None
    # msgspec takes a union of Raw and None for None alone: an absent body is the text null.
    body: msgspec.Raw = _NULL


class _LooseChange(msgspec.Struct, gc=False):
    field: str
    value: msgspec.Raw


class _LooseEntry(msgspec.Struct, gc=False):
    id: _WabaId
    changes: list[_LooseChange]


class _LooseBody(msgspec.Struct, gc=False):
    entry: list[_LooseEntry]


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_value = msgspec.json.Decoder(_Value).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_loose = msgspec.json.Decoder(_LooseBody).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_syntax = msgspec.json.Decoder(msgspec.Raw).decode

_DECODING_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def read_record(
    record: bytes, *, fallback: int, latest: int, is_utf8: bool = True
) -> tuple[bytes, int]:
    """(webhook body, received at) of one record, whitespace around it removed.

    Times are microseconds since 1970 UTC. `fallback` is the time of receipt where neither envelope
    nor body has one; a receipt after `latest` is rejected. `is_utf8` says that the bytes are known
    to be UTF-8. Raises Rejection.
    """
    if not is_utf8:
        _check_encoding(record)
    try:
        parsed = _decode_record(record)
    except _DECODING_ERRORS:
        if record.startswith(BOM):
            record = record.removeprefix(BOM).strip(WHITESPACE)
            return read_record(record, fallback=fallback, latest=latest)
        parsed = _read_keys(record)
    if parsed.object == WEBHOOK_OBJECT:
        body, entries = record, _entries(record, parsed.entry)
    elif parsed.object is None and (text := bytes(parsed.body)) != b"null":
        body, entries = _read_envelope(text)
    elif parsed.object is not None:
        raise Rejection(f"not_a_webhook: Its object is `{parsed.object[:80]}` - at `$.object`")
    else:
        raise Rejection("not_a_webhook: It has neither `object` nor `body` - at `$`")
    if len(body) > MAX_BODY_BYTES:
        raise Rejection(
            f"too_large: The body has {len(body)} bytes, {MAX_BODY_BYTES} are allowed - at `$`"
        )
    if body is not record and parsed.received_at is not None:
        received_at = parse_iso_time(parsed.received_at)
        source = "`$.received_at`"
    else:
        received_at = newest_timestamp(body, entries)
        source = "its newest timestamp" if received_at else "the time of its file"
        received_at = received_at or fallback
    if received_at > latest:
        raise Rejection(f"future_received_at: By {source} it comes from over a day after this load")
    return body, received_at


def parse_iso_time(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time; without an offset it is UTC."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return (time - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise Rejection(
            f"bad_received_at: `{text[:80]}` is not an ISO 8601 time - at `$.received_at`"
        ) from None


def newest_timestamp(body: bytes, entries: list[_Entry] | None) -> int:
    """The newest time in a body in microseconds, history changes aside; 0 if it has none.

    Read are the timestamps of a change's items, and the time of an entry (account events have no
    other). Where there is none of them, any key `timestamp` counts, however deep.
    """
    newest = 0
    for entry in entries or ():
        if entry.time is not None:
            newest = max(newest, _seconds(entry.time, milliseconds_above=100_000_000_000))
        for change in entry.changes:
            if change.field == "history":
                continue
            value = change.value
            if value.timestamp is not None:
                newest = max(newest, _seconds(value.timestamp))
            if value.messages:
                newest = _newest(value.messages, newest)
            if value.statuses:
                newest = _newest(value.statuses, newest)
            if value.message_echoes:
                newest = _newest(value.message_echoes, newest)
            if value.calls:
                newest = _newest(value.calls, newest)
            if value.user_preferences:
                newest = _newest(value.user_preferences, newest)
            if value.user_id_update:
                newest = _newest(value.user_id_update, newest)
            if value.groups:
                newest = _newest(value.groups, newest)
            if value.state_sync:
                newest = _newest([s.metadata for s in value.state_sync if s.metadata], newest)
            if standby := value.standby:
                for items in (standby.messages, standby.statuses, standby.message_echoes):
                    newest = _newest(items or [], newest)
    if not newest:
        newest = max(map(_seconds, _any_timestamps(body)), default=0)
    return newest * _SECOND_US


def _newest(items: list[_Item], newest: int) -> int:
    for item in items:
        timestamp = item.timestamp
        # Ten digits, as nearly always: the quick way.
        if type(timestamp) is str and len(timestamp) == 10 and timestamp.isdecimal():
            seconds = int(timestamp)
        elif timestamp is None:
            continue
        else:
            seconds = _seconds(timestamp)
        if seconds > newest:
            newest = seconds
    return newest


def _seconds(timestamp: str | int | float, milliseconds_above: float = float("inf")) -> int:
    """Whole seconds since 1970; 0 for what is not a time."""
    try:
        seconds = float(timestamp)
    except (ValueError, OverflowError):
        return 0
    if seconds > milliseconds_above:
        seconds /= 1000
    # No calendar has the years beyond: as the last second of 9999 it is rejected as in the future.
    return int(min(seconds, 253_402_300_799)) if seconds > 0 else 0


def _any_timestamps(body: bytes) -> list[str | int | float]:
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
            if isinstance(time := node.get("timestamp"), str | int | float):
                found.append(time)
    return found


def _read_envelope(body: bytes) -> tuple[bytes, list[_Entry] | None]:
    """(body, entries) of an envelope whose body is an object, or a string that holds one."""
    at = "`$.body`"
    if body.startswith(b'"'):
        body = _decode_text(body).encode()
    elif not body.startswith(b"{"):
        raise Rejection(f"not_a_webhook: The body is neither an object nor a string - at {at}")
    try:
        parsed = _decode_record(body)
    except _DECODING_ERRORS:
        try:
            parsed = _read_keys(body)
        except Rejection as rejection:
            raise Rejection(f"{rejection} (in {at})") from None
    if parsed.object != WEBHOOK_OBJECT:
        raise Rejection(f"not_a_webhook: Its object is not `{WEBHOOK_OBJECT}` - at `$.body.object`")
    try:
        return body, _entries(body, parsed.entry)
    except Rejection as rejection:
        raise Rejection(f"{rejection} (in {at})") from None


def _entries(body: bytes, entries: list[_Entry] | None) -> list[_Entry] | None:
    """The entries; None for a body that has them, but with kinds of change that nobody knows."""
    if entries is None:
        _check_loosely(body)
    return entries


def _read_keys(record: bytes) -> _Record:
    """The top level of a record that does not fit `_Record`: what exactly is wrong?

    Returns a record without entries where only they do not fit. Raises Rejection.
    """
    try:
        _decode_syntax(record)
    except RecursionError:
        raise Rejection("too_deep: Its arrays and objects are nested too deeply - at `$`") from None
    except _DECODING_ERRORS as error:
        _check_encoding(record)
        raise Rejection(f"bad_json: {error}") from None
    try:
        keys = _decode_keys(record)
    except _DECODING_ERRORS:
        raise Rejection("not_a_webhook: It is not a JSON object - at `$`") from None
    texts: dict[str, str | None] = {}
    for key in ("object", "received_at"):
        value = bytes(keys.get(key, b"null"))
        if value == b"null":
            texts[key] = None
        elif value.startswith(b'"'):
            texts[key] = _decode_text(value)
        elif key == "object":
            raise Rejection("not_a_webhook: Its object is not a string - at `$.object`")
        elif texts["object"] is None:
            raise Rejection("bad_received_at: It is not a string - at `$.received_at`")
    return _Record(
        object=texts["object"],
        received_at=texts.get("received_at"),
        body=keys.get("body", _NULL),
    )


def _check_loosely(body: bytes) -> None:
    """Checks the types of a body change by change, of unknown kinds the outside only."""
    try:
        entries = _decode_loose(body).entry
    except RecursionError:
        raise Rejection("too_deep: Its arrays and objects are nested too deeply - at `$`") from None
    except _DECODING_ERRORS as error:
        raise Rejection(f"wrong_type: {error}") from None
    for i, entry in enumerate(entries):
        for j, change in enumerate(entry.changes):
            decode = _decode_value if change.field in KNOWN_FIELDS else _decode_object
            try:
                decode(change.value)
            except _DECODING_ERRORS as error:
                what, _, path = str(error).partition(" - at `$")
                path = f"$.entry[{i}].changes[{j}].value{path.rstrip('`')}"
                raise Rejection(f"wrong_type: {what} - at `{path}`") from None


def _check_encoding(record: bytes) -> None:
    try:
        record.decode()
    except UnicodeDecodeError as error:
        raise Rejection(
            f"bad_encoding: Byte {error.start + 1} (0x{record[error.start]:02x}) is not UTF-8"
        ) from None
