"""Who was forgotten: known again by keyed hashes only, and cut out of whatever shows them.

PUBLISH_DIR/forgotten.jsonl has one line per erasure: HMAC-SHA256 of each identifier with the interval in which it was the
person's, the WhatsApp accounts it counts in, and who asked, when and why. The key is in a file of its own
(FORGET_KEY_FILE): without it the hashes tell nothing, and with it only whether a given identifier is one of them.
Phones count within the person's intervals alone, so that the next holder of a number stays whole; whatever happened
after the erasure is new.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from orchestration.landing.records import Part, Rejection, Webhook
from orchestration.settings import Settings, UserError

LEDGER = "forgotten.jsonl"
ERASED = "erased"  # in the place of an identifier within somebody else's item
KEY_BYTES = 32

_BSUID = re.compile(r"(?<![A-Za-z0-9.])[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}(?![A-Za-z0-9])")
# also as people write it: +55 (11) 90000-0001
_PHONE = re.compile(r"(?<![A-Za-z0-9.])\+?\(?\d(?:[ ().\-/]{0,3}\d){4,19}(?![A-Za-z0-9])")
# What an identifier may be in; nearly every record has a time of its own, which is none.
_RUN = re.compile(
    rb'[A-Z]{2}\.[A-Za-z0-9.]{1,132}|(?<!"timestamp":")(?<![A-Za-z0-9.])\+?\(?[0-9][0-9 ().\-/]{3,}[0-9]'
)
_SHORT_BYTES = 64
_DIGITS = re.compile(r"\d{5,20}")
_WHOLE_PHONE = re.compile(r"\+?([0-9]{5,20})(?:@s\.whatsapp\.net|@c\.us)?")
_SECOND_US = 1_000_000
# Objects of an item that tell whose it is. Elsewhere (a quotation, a text) it only mentions somebody.
_OF_THE_SUBJECT = frozenset(["contact", "parent_user_id", "phones", "profile", "system", "user_id"])
# Of these the receipt dates the evidence, not the old message.
_SYNCED = frozenset(["history", "smb_app_state_sync"])
EMPTY_BODY = b'{"object":"whatsapp_business_account","entry":[]}'
# Deeper than any webhook is: what mentions somebody down there goes as a whole.
_MAX_STEPS = 60


@dataclass(frozen=True)
class Erasure:
    """A line of the ledger. Identifiers are [hash, from, until]: microseconds since 1970 UTC, until is exclusive."""

    forgotten_at: str
    requested_by: str
    reason: str
    waba_ids: list[str]
    identifiers: list[list]
    customer_keys: list[str]  # all that ever led to the person; they lead to nobody now
    counts: dict[str, int] = field(default_factory=dict)


def ledger_path(settings: Settings) -> Path:
    return settings.publish_dir / LEDGER


def erasures(settings: Settings) -> list[Erasure]:
    """All erasures so far. Raises UserError where the ledger is damaged."""
    path = ledger_path(settings)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [Erasure(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"The ledger of who was forgotten, {path}, is damaged: put a backup of it there, then run again."
        ) from error


def remember(settings: Settings, erasure: Erasure) -> None:
    """Add an erasure to the ledger, on the disk when this returns."""
    path = ledger_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(erasure)) + "\n")
        file.flush()
        os.fsync(descriptor)


def secret_key(settings: Settings, *, make: bool = False) -> bytes:
    """The key of the hashes; made at its first use where `make` is set. Raises UserError."""
    path = settings.forget_key_file
    try:
        key = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        if not make or erasures(settings):
            raise UserError(
                f"FORGET_KEY_FILE={path} is missing, and without it nobody can tell who was forgotten: put a backup "
                "of it there, then run again."
            ) from None
        key = secrets.token_bytes(KEY_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(descriptor)
    except (OSError, ValueError) as error:
        raise UserError(
            f"FORGET_KEY_FILE={path} cannot be read as a key: put a backup of it there."
        ) from error
    if len(key) != KEY_BYTES:
        raise UserError(
            f"FORGET_KEY_FILE={path} holds no key of {KEY_BYTES} bytes: put a backup of it there."
        )
    return key


def keyed_hash(key: bytes, identifier: str) -> str:
    return hmac.digest(key, identifier.encode(), "sha256").hex()


def read_forgotten(settings: Settings) -> Forgotten | None:
    """Who was forgotten so far; None while nobody was. Raises UserError."""
    done = erasures(settings)
    return Forgotten(secret_key(settings), done) if done else None


def decode(body: bytes) -> Any:
    """A body whose numbers stay as they are written: others' items are to stay what they were."""
    return json.loads(body, parse_int=_number, parse_float=_number)


def _number(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def plain(value: Any) -> Any:
    """A number of `decode` as text; anything else as it is."""
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else value


def microseconds(moment: datetime) -> int:
    """Of a time in UTC without a zone."""
    return round(moment.replace(tzinfo=UTC).timestamp() * _SECOND_US)


@dataclass(slots=True)
class Cut:
    """An item that was cut out of a body, or the text in it that was (`item` is None)."""

    json_path: str
    item: Any


class Forgotten:
    """Tells what shows a forgotten person, and cuts it out."""

    def __init__(self, key: bytes, done: Iterable[Erasure]) -> None:
        self.intervals: dict[str, list[tuple[frozenset[str], int, int]]] = {}
        for erasure in done:
            wabas = frozenset(erasure.waba_ids)
            for digest, begin, end in erasure.identifiers:
                self.intervals.setdefault(digest, []).append((wabas, begin, end))
        # most identifiers come up again and again
        self._of = lru_cache(1 << 16)(lambda text: self.intervals.get(keyed_hash(key, text), ()))
        self._tells = lru_cache(1 << 16)(self._names_in)

    def reading(self, read: Callable[..., Webhook]) -> Callable[..., Webhook]:
        """`RecordReader.read` without those who were forgotten: what shows them becomes a part without its text."""

        def read_without(record: bytes, is_utf8: bool = False) -> Webhook:
            try:
                body, received_at, parts, repairs = read(record, is_utf8)
            except Rejection:
                if self.mentions(record):
                    raise Rejection("forgotten", "It shows somebody who was forgotten") from None
                raise
            body, cuts = self.without(body, received_at)
            hidden = [part for part in parts if self.mentions(part.record)]
            if cuts or hidden:
                paths = [cut.json_path for cut in cuts] + [part.json_path for part in hidden]
                parts = [part for part in parts if part not in hidden]
                parts += [Part(path, str(_of_forgotten(path)), b"") for path in paths]
            return body, received_at, parts, repairs

        return read_without

    def mentions(self, text: bytes) -> bool:
        """Whether an identifier of somebody forgotten stands in a text, at whatever time it counts."""
        if b"\\u" in text:
            text += _unescaped(text.decode(errors="replace")).encode(errors="replace")
        return any(
            self._tells(run) if len(run) < _SHORT_BYTES else self._names_in(run)
            for run in _RUN.findall(text)
        )

    def _names_in(self, run: bytes) -> bool:
        return any(self._of(name) for name, _ in _names(run.decode()))

    def without(self, body: bytes, received_at: int) -> tuple[bytes, list[Cut]]:
        """A webhook body without the items of who was forgotten, and these; the same bytes where there are none.

        Of somebody else's item that mentions them, the identifier alone is taken out.
        """
        if not self.mentions(body):
            return body, []
        cuts: list[Cut] = []
        entries = []
        try:
            node = decode(body)
            for index, entry in enumerate(node["entry"]):
                left = self._entry(entry, f"$.entry[{index}]", received_at, cuts)
                if left is not None:
                    entries.append(left)
        except RecursionError:  # no webhook is nested like that
            return EMPTY_BODY, [Cut("$", None)]
        if not cuts:
            return body, []
        return msgspec.json.encode({**node, "entry": entries}), cuts

    def _entry(self, entry: dict, at: str, received_at: int, cuts: list[Cut]) -> dict | None:
        changes = []
        for index, change in enumerate(entry["changes"]):
            before = len(cuts)
            place = f"{at}.changes[{index}].value"
            is_synced = change.get("field") in _SYNCED
            time = _time(change["value"]) or _time(entry) or received_at
            walk = _Walk(self, str(plain(entry["id"])), received_at, is_synced, cuts)
            value = walk.inner(change["value"], place, time, frozenset())
            if len(cuts) > before and not _items(value):
                continue  # what is left is a contact that stood for the items
            changes.append({**change, "value": value})
        return {**entry, "changes": changes} if changes else None

    def counts(self, name: str, waba_id: str, times: Iterable[int]) -> bool:
        """Whether an identifier is a forgotten person's in this account at one of these times."""
        return any(
            waba_id in wabas and any(begin <= time < end for time in times)
            for wabas, begin, end in self._of(name)
        )


@dataclass(slots=True)
class _Walk:
    """The way through one change of an account."""

    forgotten: Forgotten
    waba_id: str
    received_at: int
    is_synced: bool
    cuts: list[Cut]

    def inner(self, node: Any, at: str, time: int, above: frozenset[str]) -> Any:
        """A node without what is to go; `above` are the names of the thread that it is in."""
        if isinstance(node, dict | list) and at.count(".") + at.count("[") > _MAX_STEPS:
            if self.forgotten.mentions(msgspec.json.encode(node)):
                self.cuts.append(Cut(at, None))
                return None
            return node
        if isinstance(node, dict):
            return {
                name: self.inner(value, f"{at}.{name}", time, above) for name, value in node.items()
            }
        if isinstance(node, list):
            return self._list(node, at, time, above)
        if isinstance(node, str):
            return self._text(node, at, time)
        if isinstance(node, msgspec.Raw) and (text := plain(node)) != self._text(text, at, time):
            return ERASED
        return node

    def _list(self, nodes: list, at: str, time: int, above: frozenset[str]) -> list:
        left = []
        for index, node in enumerate(nodes):
            place = f"{at}[{index}]"
            if not isinstance(node, dict) or at.endswith((".phones", ".emails", ".urls")):
                left.append(self.inner(node, place, time, above))
                continue
            now = _time(node) or time
            names = frozenset(_subject(node)) | above
            if isinstance(
                node.get("messages"), list
            ):  # a thread: each of its messages by its own time
                names |= (
                    set(_subject(node["context"]))
                    if isinstance(node.get("context"), dict)
                    else set()
                )
                kept = {
                    **node,
                    "messages": self._list(node["messages"], f"{place}.messages", now, names),
                }
                if kept["messages"] or not node["messages"]:
                    left.append(kept)
            elif self._is_theirs(names, now):
                self.cuts.append(Cut(place, node))
            elif any(name[:2].isalpha() for name in names):
                # somebody else's, by another id than a phone: what it says of itself stays as it is
                left.append(
                    {
                        name: value
                        if isinstance(plain(value), str) and any(_subject({name: value}))
                        else self.inner(value, f"{place}.{name}", now, above)
                        for name, value in node.items()
                    }
                )
            else:
                left.append(self.inner(node, place, now, above))
        return left

    def _is_theirs(self, names: frozenset[str], time: int) -> bool:
        bsuids = {name for name in names if name[:2].isalpha()}
        if any(self._counts(name, time) for name in bsuids):
            return True
        return not bsuids and any(self._counts(name, time) for name in names)

    def _counts(self, name: str, time: int) -> bool:
        times = (time, self.received_at) if self.is_synced else (time,)
        return self.forgotten.counts(name, self.waba_id, times)

    def _text(self, text: str, at: str, time: int) -> str:
        found = [span for name, span in _names(text) if self._counts(name, time)]
        if not found:
            return text
        self.cuts.append(Cut(at, None))
        for begin, end in sorted(found, reverse=True):
            text = text[:begin] + ERASED + text[end:]
        return text


def _of_forgotten(path: str) -> Rejection:
    return Rejection("forgotten", f"It shows somebody who was forgotten - at `{path}`")


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), text)


def _names(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """What looks like a BSUID or a phone in a text, as WhatsApp writes it, and where it stands."""
    for found in _BSUID.finditer(text):
        yield found[0], found.span()
    for found in _PHONE.finditer(text):
        yield re.sub(r"\D", "", found[0]), found.span()
        if not found[0].lstrip("+").isdigit():  # or a number beside a number
            for run in _DIGITS.finditer(found[0]):
                yield run[0], (found.start() + run.start(), found.start() + run.end())


def _subject(node: dict) -> Iterator[str]:
    """The BSUIDs and phones by which an item says whose it is."""
    for name, value in node.items():
        value = plain(value)
        if isinstance(value, dict) and name in _OF_THE_SUBJECT:
            yield from _subject(value)
        elif isinstance(value, list) and name in _OF_THE_SUBJECT:
            for inner in value:
                if isinstance(inner, dict):
                    yield from _subject(inner)
        elif isinstance(value, str) and name not in ("timestamp", "name", "body"):
            if phone := _WHOLE_PHONE.fullmatch(value):
                yield phone[1]
            elif _BSUID.fullmatch(value):
                yield value


def _time(node: Any) -> int | None:
    """When an item, or what is around it, says that it happened."""
    if not isinstance(node, dict):
        return None
    for holder in (node, node.get("metadata")):
        for name in ("timestamp", "time"):
            value = plain(holder.get(name)) if isinstance(holder, dict) else None
            if isinstance(value, str):
                try:
                    seconds = float(value)
                except ValueError:
                    continue
                if seconds >= 100_000_000_000:
                    seconds /= 1000
                if 0 < seconds < 253_402_300_800:
                    return int(seconds * _SECOND_US)
    for value in node.values():
        if isinstance(value, list) and value and (time := _time(value[0])):
            return time
    return None


def _items(value: Any) -> bool:
    """Whether anything but contacts is left of a change's value."""
    return any(
        isinstance(inner, list)
        and inner
        and name != "contacts"
        or isinstance(inner, dict)
        and name not in ("metadata", "errors")
        and (name != "standby" or _items(inner))
        for name, inner in value.items()
    ) or not any(isinstance(inner, list) for inner in value.values())
