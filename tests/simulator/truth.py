"""The truth beside the landing files: tables of messages, identifiers, evidence, transitions.

Schemas are in docs/simulator.md. Times are UTC timestamps with seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import business
from .business import NUMBER_PORTFOLIO
from .delivery import Delivery
from .identifiers import SLOTS
from .profile import END, ROTATION_GEN2, USERNAME_START
from .traffic import CARD_REQUEST, ECHO, INBOUND, OUTBOUND, Rotation, Traffic
from .updates import SPECIAL, Showing, Updates
from .world import REASONS, REREGISTER, World
from .writer import unused_number

_PORTFOLIOS = np.array(business.PORTFOLIO_IDS, dtype=object)


@dataclass
class Tables:
    """The truth, one Arrow table per file of the same name."""

    persons: pa.Table
    accounts: pa.Table
    messages: pa.Table
    identifiers: pa.Table
    evidence: pa.Table
    transitions: pa.Table

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in vars(self).items():
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def build(
    world: World,
    traffic: Traffic,
    rotations: list[Rotation],
    updates: Updates,
    delivery: Delivery,
    showing: Showing,
    bsuid: np.ndarray,
) -> Tables:
    """All truth tables of one run."""
    shown = _shown(traffic, updates, delivery)
    portfolio = NUMBER_PORTFOLIO[traffic.business_number]
    return Tables(
        persons=_persons(world),
        accounts=_accounts(world),
        messages=_messages(traffic, updates, delivery, portfolio, shown),
        identifiers=_identifiers(world, traffic, portfolio, shown, bsuid),
        evidence=_evidence(world, traffic, rotations, updates, delivery, portfolio, shown, bsuid),
        transitions=_transitions(world, rotations, updates, delivery, showing),
    )


@dataclass
class _Shown:
    """Per row of traffic, what its arrived updates show."""

    arrived: np.ndarray  # bool
    phone: np.ndarray
    bsuid: np.ndarray
    username: np.ndarray
    variant: np.ndarray  # the phone shows in its other form only
    paired: np.ndarray  # one update shows phone and BSUID together


def _shown(traffic: Traffic, updates: Updates, delivery: Delivery) -> _Shown:
    size = len(traffic.time)
    here = np.flatnonzero((updates.kind != SPECIAL) & delivery.arrived)
    ref = updates.ref[here]
    synced = [row for item in _arrived_specials(updates, delivery) for row in item.rows]
    again, again_phone, again_bsuid = np.array(synced, np.int64).reshape(-1, 3).T
    ref = np.concatenate([ref, again])

    def any_of(flag: np.ndarray) -> np.ndarray:
        return np.bincount(ref[flag], minlength=size) > 0

    nothing = np.zeros(len(again), bool)
    phone = np.concatenate([updates.phone[here], again_phone > 0])
    bsuid = np.concatenate([updates.bsuid[here], again_bsuid > 0])
    variant = np.concatenate([updates.variant[here], nothing])
    return _Shown(
        arrived=any_of(np.ones(len(ref), bool)),
        phone=any_of(phone),
        bsuid=any_of(bsuid),
        username=any_of(np.concatenate([updates.username[here], nothing])),
        variant=any_of(phone & variant) & ~any_of(phone & ~variant),
        paired=any_of(phone & bsuid),
    )


def _stamp(seconds: np.ndarray | list[int]) -> pa.Array:
    return pa.array(np.asarray(seconds, np.int64), pa.timestamp("s", tz="UTC"))


def _nullable(values: np.ndarray) -> pa.Array:
    """Indexes, with null for -1."""
    return pa.array(values, pa.int64(), mask=values < 0)


def _strings(values: np.ndarray, present: np.ndarray) -> pa.Array:
    return pa.array(np.where(present, values, None), pa.string())


def _persons(world: World) -> pa.Table:
    left = np.where(world.left >= END, 0, world.left)
    return pa.table(
        {
            "person_id": pa.array(np.arange(len(world.country))),
            "country": pa.array(np.array(business.COUNTRIES, dtype=object)[world.country]),
            "joined_at": _stamp(world.joined),
            "left_at": pa.array(left, pa.timestamp("s", tz="UTC"), mask=left == 0),
            "guest_of": _nullable(world.guest_of),
            "same_as": _nullable(world.same_as),
        }
    )


def _accounts(world: World) -> pa.Table:
    wa_id = np.array(world.wa_id, dtype=object)
    return pa.table(
        {
            "account_id": pa.array(np.arange(len(world.account_person))),
            "person_id": pa.array(world.account_person),
            "phone": pa.array(wa_id[world.account_number]),
            "bsuid_key": pa.array(world.account_bsuid_key),
            "valid_from": _stamp(world.account_start),
            "valid_to": _stamp(world.account_end),
            "reason": pa.array(np.array(REASONS, dtype=object)[world.account_reason]),
        }
    )


def _message_ids(rows: np.ndarray) -> list[str]:
    return [f"wamid.SIM{row:010d}" for row in rows.tolist()]


def _is_message(traffic: Traffic) -> np.ndarray:
    return np.isin(traffic.kind, (INBOUND, OUTBOUND, ECHO))


def _messages(
    traffic: Traffic, updates: Updates, delivery: Delivery, portfolio: np.ndarray, shown: _Shown
) -> pa.Table:
    rows = np.flatnonzero(_is_message(traffic))
    arrived_special = {
        item.items[0].split('"')[3]
        for item in _arrived_specials(updates, delivery)
        if item.label == "group_status"
    }
    sends = updates.sends
    ids = pa.array(_message_ids(rows) + [send.message_id for send in sends])
    number = np.concatenate(
        [traffic.business_number[rows], np.array([send.number for send in sends], np.int64)]
    )
    none = np.full(len(sends), -1)
    numbers = np.array([item.phone_number_id for item in business.NUMBERS], dtype=object)
    inbound = traffic.kind[rows] == INBOUND
    return pa.table(
        {
            "portfolio_id": pa.array(_PORTFOLIOS[NUMBER_PORTFOLIO[number]]),
            "message_id": ids,
            "person_id": _nullable(np.concatenate([traffic.person[rows], none])),
            "account_id": _nullable(np.concatenate([traffic.account[rows], none])),
            "direction": pa.array(
                np.where(inbound, "inbound", "outbound").tolist() + ["outbound"] * len(sends)
            ),
            "occurred_at": _stamp(
                np.concatenate([traffic.time[rows], np.array([s.time for s in sends], np.int64)])
            ),
            "phone_number_id": pa.array(numbers[number]),
            "is_group_send": pa.array(np.arange(len(number)) >= len(rows)),
            "delivered": pa.array(
                np.concatenate(
                    [
                        shown.arrived[rows],
                        np.array([send.message_id in arrived_special for send in sends], bool),
                    ]
                )
            ),
        }
    )


def _arrived_specials(updates: Updates, delivery: Delivery) -> list:
    rows = np.flatnonzero((updates.kind == SPECIAL) & delivery.arrived)
    return [updates.specials[i] for i in updates.ref[rows].tolist()]


def _phones(world: World, traffic: Traffic, rows: np.ndarray, variant: np.ndarray) -> np.ndarray:
    """The phone of each row as shown, in the regional form it was shown in."""
    number = np.maximum(traffic.number[rows], 0)
    plain = np.array(world.wa_id, dtype=object)[number]
    other = np.array(world.wa_id_variant, dtype=object)[number]
    phone = np.where(variant, other, plain)
    nowhere = np.flatnonzero(traffic.number[rows] < 0)
    phone[nowhere] = [unused_number(i) for i in traffic.number[rows[nowhere]].tolist()]
    return phone


def _identifiers(
    world: World, traffic: Traffic, portfolio: np.ndarray, shown: _Shown, bsuid: np.ndarray
) -> pa.Table:
    """Per arrived message the identifiers its updates show, as delivered."""
    rows = np.flatnonzero(_is_message(traffic) & shown.arrived)
    key = np.maximum(traffic.account[rows], 0) * SLOTS + portfolio[rows]
    handles = np.array([*world.usernames, ""], dtype=object)
    return pa.table(
        {
            "message_id": pa.array(_message_ids(rows)),
            "portfolio_id": pa.array(_PORTFOLIOS[portfolio[rows]]),
            "bsuid": _strings(bsuid[key], shown.bsuid[rows]),
            "phone": _strings(
                _phones(world, traffic, rows, shown.variant[rows]), shown.phone[rows]
            ),
            "username": _strings(handles[traffic.username[rows]], shown.username[rows]),
            "occurred_at": _stamp(traffic.time[rows]),
        }
    )


def _evidence(
    world: World,
    traffic: Traffic,
    rotations: list[Rotation],
    updates: Updates,
    delivery: Delivery,
    portfolio: np.ndarray,
    shown: _Shown,
    bsuid: np.ndarray,
) -> pa.Table:
    """What the delivered updates connect: phone with BSUID, old with new, either form."""
    key = traffic.account * SLOTS + portfolio
    reached = traffic.account >= 0
    attested = (traffic.card == CARD_REQUEST) & shown.arrived & shown.bsuid
    specials = _arrived_specials(updates, delivery)
    groups = {
        "pairing": np.unique(
            np.concatenate(
                [
                    key[shown.paired & reached],
                    np.array([pair for item in specials for pair in item.pairs], np.int64),
                ]
            )
        ),
        "contact_request": np.unique(key[attested]),
    }
    phone = np.array(world.wa_id, dtype=object)[world.account_number]
    guests = _guests_of(world)
    rows: list[tuple] = []

    def add(
        account: int, slot: int, left: tuple[str, str], right: tuple[str, str], kind: str
    ) -> None:
        person = int(world.account_person[account])
        for who in (person, *guests.get(person, ())):
            rows.append((business.PORTFOLIO_IDS[slot], who, *left, *right, kind))

    for kind, keys in groups.items():
        for pair in keys.tolist():
            account, slot = divmod(pair, SLOTS)
            add(account, slot, ("bsuid", bsuid[pair]), ("phone", phone[account]), kind)
    for item in sorted({(s.rotation, s.label) for s in specials if s.rotation >= 0}):
        change, label = rotations[item[0]], item[1]
        old, new, slot = change.old_account, change.new_account, change.portfolio
        if label == "rotation_1":
            left, right = ("phone", phone[old]), ("phone", phone[new])
        else:
            left = ("bsuid", bsuid[old * SLOTS + slot])
            right = ("bsuid", bsuid[new * SLOTS + slot])
        add(new, slot, left, right, label)

    # The two forms of a number are one number.
    formed = np.flatnonzero(shown.variant & (traffic.number >= 0) & (traffic.person >= 0))
    other = np.array(world.wa_id_variant, dtype=object)
    plain = np.array(world.wa_id, dtype=object)
    trio = np.unique(
        np.stack([traffic.person[formed], portfolio[formed], traffic.number[formed]], axis=1),
        axis=0,
    )
    for person, slot, number in trio.tolist():
        if plain[number] != other[number]:
            rows.append(
                (
                    business.PORTFOLIO_IDS[slot],
                    person,
                    "phone",
                    plain[number],
                    "phone",
                    other[number],
                    "phone_variant",
                )
            )
    names = (
        "portfolio_id",
        "person_id",
        "left_type",
        "left_value",
        "right_type",
        "right_value",
        "kind",
    )
    types = (pa.string(), pa.int64(), *[pa.string()] * 5)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(
        {
            name: pa.array(column, kind)
            for name, column, kind in zip(names, columns, types, strict=True)
        }
    )


def _guests_of(world: World) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    for guest in np.flatnonzero(world.guest_of >= 0).tolist():
        host = int(world.guest_of[guest])
        found[host] = (*found.get(host, ()), guest)
    return found


def _transitions(
    world: World,
    rotations: list[Rotation],
    updates: Updates,
    delivery: Delivery,
    showing: Showing,
) -> pa.Table:
    """What happened to persons. Rows of number changes are per portfolio, others per person."""
    arrived = {item.rotation for item in _arrived_specials(updates, delivery)}
    rows: list[dict] = []

    def add(person: int, kind: str, time: int, **more: object) -> None:
        rows.append({"person_id": person, "transition": kind, "occurred_at": time, **more})

    for index, change in enumerate(rotations):
        old, new = change.old_account, change.new_account
        rotated = change.time >= ROTATION_GEN2
        kind = "number_return" if change.returned else "number_change"
        add(
            int(world.account_person[new]),
            kind,
            change.time,
            portfolio_id=business.PORTFOLIO_IDS[change.portfolio],
            old_account_id=old,
            new_account_id=new,
            old_phone=showing.phone(old),
            new_phone=showing.phone(new),
            old_bsuid=showing.bsuid(old, change.portfolio) if rotated else None,
            new_bsuid=showing.bsuid(new, change.portfolio) if rotated else None,
            delivered=change.delivered and index in arrived,
        )
    for account in np.flatnonzero(world.account_reason == REREGISTER).tolist():
        add(
            int(world.account_person[account]),
            "reregistration",
            int(world.account_start[account]),
            old_account_id=account - 1,
            new_account_id=account,
            old_phone=showing.phone(account),
            new_phone=showing.phone(account),
        )
    order = np.lexsort((world.account_start, world.account_number))
    for left, right in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        former, later = int(world.account_person[left]), int(world.account_person[right])
        if world.account_number[left] == world.account_number[right] and former != later:
            more = {
                "old_account_id": left,
                "new_account_id": right,
                "old_phone": showing.phone(left),
                "new_phone": showing.phone(right),
            }
            time = int(world.account_start[right])
            add(later, "number_recycled_to", time, **more)
            add(former, "number_recycled_from", time, **more)
    for person in np.flatnonzero(world.left < END).tolist():
        if world.guest_of[person] < 0:
            add(person, "leave", int(world.left[person]))
    _username_rows(world, add)
    named = np.flatnonzero(world.name_person[1:] == world.name_person[:-1]) + 1
    for i in named.tolist():
        add(int(world.name_person[i]), "name_change", int(world.name_start[i]))
    for time, person in world.reinstalls.tolist():
        add(person, "reinstall", time)
    for guest in np.flatnonzero(world.guest_of >= 0).tolist():
        for person in (guest, int(world.guest_of[guest])):
            add(person, "shared_handset", int(world.joined[guest]))
    for phone in np.flatnonzero(world.same_as >= 0).tolist():
        for person in (phone, int(world.same_as[phone])):
            add(person, "second_phone", int(world.joined[phone]))
    rows.sort(key=lambda row: row["occurred_at"])
    text, number = pa.string(), pa.int64()
    schema = pa.schema(
        [
            ("person_id", number),
            ("transition", text),
            ("occurred_at", number),
            ("portfolio_id", text),
            ("old_account_id", number),
            ("new_account_id", number),
            ("old_phone", text),
            ("new_phone", text),
            ("old_bsuid", text),
            ("new_bsuid", text),
            ("old_username", text),
            ("new_username", text),
            ("delivered", pa.bool_()),
        ]
    )
    table = pa.Table.from_pylist(rows, schema)
    return table.set_column(2, "occurred_at", _stamp(table["occurred_at"].to_numpy()))


def _username_rows(world: World, add: Callable[..., None]) -> None:
    person, start, end = world.username_person, world.username_start, world.username_end
    for i in range(len(person)):
        who = int(person[i])
        follows = i > 0 and person[i - 1] == person[i] and end[i - 1] == start[i]
        before = world.usernames[i - 1] if follows else None
        kind = "username_change" if follows else "username_adopt"
        add(who, kind, int(start[i]), old_username=before, new_username=world.usernames[i])
        if world.username_former[i] >= 0:
            add(who, "username_reclaim", int(start[i]), new_username=world.usernames[i])
        goes_on = i + 1 < len(person) and person[i + 1] == person[i] and start[i + 1] == end[i]
        if not goes_on and USERNAME_START < end[i] < min(END, int(world.left[who])):
            add(who, "username_release", int(end[i]), old_username=world.usernames[i])
