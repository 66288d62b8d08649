"""Writes the deliveries as landing files: one envelope per line."""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from . import business, wire
from .business import NUMBER_PORTFOLIO
from .delivery import Delivery, file_names
from .identifiers import SLOTS
from .profile import CONTACT_REQUEST_START, SECOND
from .traffic import CARD_OTHER, CARD_REQUEST, CATEGORIES, Traffic
from .updates import (
    AT_USERNAME,
    BAD_BSUID,
    BSUID_AS_PHONE,
    DELIVERED,
    ECHOED,
    EMPTY_PHONE,
    FAILED,
    HELD_BACK,
    MESSAGE,
    NO_PROFILE,
    NO_QUIRK,
    SENT,
    SPECIAL,
    STATUS,
    STATUSES,
    UNREACHABLE,
    Updates,
    standby,
)
from .world import World, json_strings

_TEXTS = (
    "oi, tudo bem?",
    "Quero saber do meu pedido",
    "¿Tienen envío a domicilio?",
    "Thanks!",
    "ok",
    "Bom dia",
    "Is this still available?",
    "Gracias, ya llegó",
    "👍",
    "How much is it?",
    "Preciso de ajuda com o boleto",
    "Hola, ¿a qué hora abren?",
    "Wann kommt die Lieferung?",
    "perfeito",
    "please call me back",
    "Pode mandar a segunda via?",
)
_BODIES = tuple(f'"type":"text","text":{{"body":{text}}}' for text in json_strings(list(_TEXTS)))
_OTHER_TYPES = (
    '"type":"image","image":{"mime_type":"image/jpeg","sha256":"c2lt","id":"900000000000001"}',
    '"type":"interactive","interactive":{"type":"button_reply",'
    '"button_reply":{"id":"yes","title":"Sim"}}',
    '"type":"button","button":{"text":"Quero","payload":"offer"}',
    '"type":"location","location":{"latitude":-23.55,"longitude":-46.63}',
)
_PRICING = tuple(
    f',"conversation":{{"id":"c0ffee","origin":{{"type":"{category}"}}}},'
    f'"pricing":{{"billable":{"false" if category == "service" else "true"},'
    f'"pricing_model":"PMP","category":"{category}"}}'
    for category in CATEGORIES
)
_EXTRA = {
    UNREACHABLE: ',"errors":[{"code":131026,"title":"Message undeliverable"}]',
    HELD_BACK: ',"errors":[{"code":131049,"title":"In order to maintain healthy ecosystem '
    'engagement, the message failed to be delivered."}]',
}

_REJECTED = (  # lines that are no webhook
    "not json at all",
    '{"received_at":"2026-01-01T00:00:00.000Z","body":{"object":"whatsapp_business_account","ent',
    '{"object":"page","entry":[]}',
    '{"received_at":"2026-01-01T00:00:00.000Z","body":42}',
    '{"object":"whatsapp_business_account","entry":NaN}',
    '["whatsapp_business_account"]',
)


PARALLEL_FROM = 50_000  # deliveries; below, starting processes costs more than it saves


@dataclass
class Job:
    """What a writing process needs; inherited by fork, so that nothing is copied."""

    world: World
    traffic: Traffic
    updates: Updates
    delivery: Delivery
    bsuid: np.ndarray
    parent: np.ndarray
    out: Path
    seed: int


class _Texts:
    """Strings to choose from, as arrays of objects; made once for all files."""

    def __init__(self, world: World) -> None:
        self.wa_id = np.array(world.wa_id, dtype=object)
        self.variant = np.array(world.wa_id_variant, dtype=object)
        self.usernames = np.array([*world.usernames, ""], dtype=object)
        self.names = np.array(json_strings(world.names), dtype=object)


@dataclass
class FileResult:
    """What was written into one file."""

    name: str
    lines: int
    rejected: int
    bytes: int


_job: Job | None = None
_texts: _Texts | None = None


def write(job: Job, workers: int) -> list[FileResult]:
    """Write all landing files below `job.out`; the same job gives the same bytes."""
    global _job, _texts
    code, names = file_names(job.delivery.received)
    bounds = np.searchsorted(code, np.arange(len(names) + 1)).tolist()
    tasks = [(i, name, bounds[i], bounds[i + 1]) for i, name in enumerate(names)]
    _job, _texts = job, _Texts(job.world)
    try:
        if workers <= 1 or len(job.delivery.update) < PARALLEL_FROM:
            return [_write_file(*task) for task in tasks]
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            return pool.starmap(_write_file, tasks, chunksize=1)
    finally:
        _job = _texts = None


def _write_file(index: int, name: str, first: int, last: int) -> FileResult:
    job = _job
    assert job is not None
    rng = np.random.default_rng([job.seed, 5, index])
    profile = job.world.profile
    rows = job.delivery.update[first:last]
    body = job.delivery.body[first:last]
    received = job.delivery.received[first:last]
    heads, contacts, items = _render(job, rows)

    starts = np.flatnonzero(np.diff(body, prepend=-1))
    ends = np.append(starts[1:], len(body))
    stamps = np.datetime_as_string(received[starts].astype("datetime64[ms]")).tolist()
    strings = (rng.random(len(starts)) < profile.string_body).tolist()
    share = (rng.random(len(starts)) < 0.5).tolist()
    lines = []
    for a, b, stamp, as_string, shared in zip(
        starts.tolist(), ends.tolist(), stamps, strings, share, strict=True
    ):
        if b == a + 1:
            text = _single(heads[a], contacts[a], items[a])
        else:
            text = _batch(heads[a:b], contacts[a:b], items[a:b], shared)
        if as_string:
            text = orjson.dumps(text).decode()
        lines.append(f'{{"received_at":"{stamp}Z","body":{text}}}\n')
    bad = rng.random(len(lines)) < profile.malformed
    rejected = int(bad.sum())
    if profile.malformed and index == 0 and not rejected:
        rejected = 1  # small runs have some, too
    for _ in range(rejected):
        lines.append(_REJECTED[int(rng.integers(len(_REJECTED)))] + "\n")
    if profile.shuffled:
        lines = [lines[i] for i in rng.permutation(len(lines)).tolist()]
    path = job.out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(lines).encode()
    path.write_bytes(data)
    return FileResult(name, len(lines), rejected, len(data))


def _single(head: tuple[int, int], contacts: list[str], items: list[str]) -> str:
    number, container = head
    if container < 0:  # an entry of its own
        return f"{wire.BODY_START}{items[0]}]}}"
    one = wire.change(number, container, contacts, items)
    return f"{wire.BODY_START}{wire.entry(number, [one])}]}}"


def _batch(
    heads: list[tuple[int, int]], contacts: list[list[str]], items: list[list[str]], shared: bool
) -> str:
    """Neighbours of one WABA share an entry; those of one list share a value if `shared`."""
    entries: list[str] = []
    changes: list[str] = []
    at = 0
    while at < len(heads):
        number, container = heads[at]
        if container < 0:
            entries.append(items[at][0])
            at += 1
            continue
        end = at + 1
        people = _people(contacts[at])
        while shared and end < len(heads) and heads[end] == heads[at]:
            # One contact per person in a value: the next one may show other fields.
            more = _people(contacts[end])
            if people & more:
                break
            people |= more
            end += 1
        changes.append(
            wire.change(
                number,
                container,
                [text for group in contacts[at:end] for text in group],
                [text for group in items[at:end] for text in group],
            )
        )
        at = end
        waba = business.NUMBERS[number].waba_id
        if at == len(heads) or heads[at][1] < 0 or (business.NUMBERS[heads[at][0]].waba_id != waba):
            entries.append(wire.entry(number, changes))
            changes = []
    return f"{wire.BODY_START}{','.join(entries)}]}}"


def _people(contacts: list[str]) -> set[str]:
    """Whom the contacts are of, by BSUID or else by phone."""
    found = (orjson.loads(text) for text in contacts)
    return {contact.get("user_id") or contact["wa_id"] for contact in found}


def _render(
    job: Job, rows: np.ndarray
) -> tuple[list[tuple[int, int]], list[list[str]], list[list[str]]]:
    """Head (business number, container), contacts and items of each update."""
    updates, traffic, world, texts = job.updates, job.traffic, job.world, _texts
    assert texts is not None
    heads: list = [None] * len(rows)
    contacts: list = [None] * len(rows)
    items: list = [None] * len(rows)
    kind = updates.kind[rows]
    for at in np.flatnonzero(kind == SPECIAL).tolist():
        special = updates.specials[updates.ref[rows[at]]]
        heads[at] = (special.number, special.container)
        contacts[at], items[at] = special.contacts, special.items

    at = np.flatnonzero(kind != SPECIAL)
    row = rows[at]
    ref = updates.ref[row]
    account = traffic.account[ref]
    known = np.maximum(account, 0)
    number = business.shown_under(traffic.business_number[ref], updates.time[row])
    phone_of = traffic.number[ref]
    there = np.maximum(phone_of, 0)
    phone = np.where(updates.variant[row], texts.variant[there], texts.wa_id[there])
    nowhere = np.flatnonzero(phone_of < 0)
    phone[nowhere] = [unused_number(i) for i in phone_of[nowhere].tolist()]
    phone = np.where(updates.phone[row], phone, "")
    bsuid = job.bsuid[known * SLOTS + NUMBER_PORTFOLIO[number]]
    bsuid = np.where(updates.bsuid[row], bsuid, "")
    parent = np.where(updates.parent[row], job.parent[known], "")
    username = np.where(updates.username[row], texts.usernames[traffic.username[ref]], "")
    owner = world.account_person[known]
    name = texts.names[world.name_at(owner, np.maximum(updates.time[row], world.joined[owner]))]
    behind = standby(traffic.time[ref], ref)

    columns = zip(
        at.tolist(),
        ref.tolist(),
        kind[at].tolist(),
        updates.code[row].tolist(),
        updates.time[row].tolist(),
        number.tolist(),
        phone.tolist(),
        bsuid.tolist(),
        parent.tolist(),
        username.tolist(),
        name.tolist(),
        behind.tolist(),
        traffic.category[ref].tolist(),
        strict=True,
    )
    display = [number.display for number in business.NUMBERS]
    for one in columns:
        i, message, what, code, time, where, tel, user, above, handle, called, hidden, priced = one
        if what == STATUS:
            heads[i] = (where, wire.STATUSES)
            ids = f',"recipient_id":"{tel}"' if tel else ""
            if user:
                ids += f',"recipient_user_id":"{user}"'
                if above:
                    ids += f',"recipient_parent_user_id":"{above}"'
            extra = _PRICING[priced] if code in (SENT, DELIVERED) else _EXTRA.get(code, "")
            items[i] = [
                f'{{"id":"wamid.SIM{message:010d}","status":"{STATUSES[code]}",'
                f'"timestamp":"{time}"{ids}{extra}}}'
            ]
            # contacts[] in statuses is new with the BSUIDs, and never there for failed ones.
            contacts[i] = (
                [wire.contact(called, handle, tel, user, above)]
                if user and code not in FAILED
                else []
            )
        elif what == MESSAGE:
            heads[i] = (where, wire.STANDBY if hidden else wire.MESSAGES)
            contact, sender = _sender(code, tel, user, above, handle, called)
            contacts[i] = [contact]
            group = int(traffic.group[message])
            inside = f'"group_id":"SIM-G{group}",' if group >= 0 else ""
            content = _content(job, message, time, where)
            items[i] = [
                f'{{{sender}{inside}"id":"wamid.SIM{message:010d}","timestamp":"{time}",{content}}}'
            ]
        else:
            assert what == ECHOED
            heads[i] = (where, wire.ECHOES)
            # Phone-only echoes have no contacts at all.
            shown = called if code else None
            contacts[i] = [wire.contact(shown, handle, tel, user, above)] if user else []
            items[i] = [
                f'{{"from":"{display[where]}",{wire.ids("to", tel, user, above)}'
                f'"id":"wamid.SIM{message:010d}","timestamp":"{time}",'
                f"{_BODIES[message % len(_BODIES)]}}}"
            ]
    return heads, contacts, items


def _sender(
    quirk: int, phone: str, bsuid: str, parent: str, username: str, name: str
) -> tuple[str, str]:
    """Contact and id fields of an inbound message."""
    if quirk == NO_QUIRK:
        return (
            wire.contact(name, username, phone, bsuid, parent),
            wire.ids("from", phone, bsuid, parent),
        )
    if quirk == EMPTY_PHONE:
        return (
            wire.contact(name, username, "", bsuid, parent, empty=True),
            '"from":"",' + wire.ids("from", "", bsuid, parent),
        )
    if quirk == BSUID_AS_PHONE:
        return wire.contact(name, username, bsuid, "", ""), f'"from":"{bsuid}",'
    if quirk == BAD_BSUID:
        return (
            wire.contact(name, username, phone, "foo_bar", ""),
            f'"from":"{phone}","from_user_id":"foo_bar",',
        )
    if quirk == NO_PROFILE:
        return wire.contact(None, "", phone, bsuid, parent), wire.ids("from", phone, bsuid, parent)
    assert quirk == AT_USERNAME
    return (
        wire.contact(name, f"@{username.upper()}", phone, bsuid, parent),
        wire.ids("from", phone, bsuid, parent),
    )


def _content(job: Job, message: int, time: int, number: int) -> str:
    """Type and content of an inbound message."""
    card = job.traffic.card[message]
    if card == CARD_REQUEST:
        phone = job.world.wa_id[job.traffic.number[message]]
        return (
            '"type":"contacts","contacts":[{"origin":"contact_request","phones":'
            f'[{{"phone":"+{phone}","wa_id":"{phone}","type":"CELL"}}]}}]'
        )
    if card == CARD_OTHER:
        # Anybody's card; the origin is named since the button exists.
        phone = job.world.wa_id[message * 7919 % len(job.world.wa_id)]
        origin = '"origin":"other",' if time >= CONTACT_REQUEST_START * SECOND else ""
        return (
            f'"type":"contacts","contacts":[{{{origin}"name":{{"formatted_name":"Contato",'
            f'"first_name":"Contato"}},"phones":[{{"phone":"+{phone}","wa_id":"{phone}",'
            '"type":"CELL"}],"vcard":"BEGIN:VCARD"}]'
        )
    if message % 5 == 0:
        content = _OTHER_TYPES[message // 5 % len(_OTHER_TYPES)]
    else:
        content = _BODIES[message % len(_BODIES)]
    if message % 17 == 0:
        quoted = f'"from":"{business.NUMBERS[number].display}","id":"wamid.SIMX{message:09d}"'
        content = f'"context":{{{quoted}}},{content}'
    return content


def unused_number(index: int) -> str:
    """A Portuguese number: the simulated customers have none, so nobody is ever there."""
    return f"3519{index % 90_000_000 + 10_000_000}"
