"""Webhook updates of the interactions: what is sent when, and which ids it shows.

One row of `Updates` is one update as Meta would send it once. Messages, echoes and statuses are
columns only and become JSON when they are written; everything rarer is a `Special`, which holds
its JSON from the start.
"""

from dataclasses import dataclass, field

import numpy as np

from . import business, wire
from .business import NUMBER_LINE, NUMBER_OWNER, NUMBER_PORTFOLIO, SINCE
from .identifiers import SLOTS
from .profile import (
    DAY,
    EDIT_IDS,
    END,
    HIDING_START,
    HISTORY_DAYS,
    HOUR,
    MINUTE,
    PARENT_START,
    REVOKE_IDS,
    ROTATION_GEN2,
    ROTATION_GEN3,
    STANDBY_START,
    STATUS_BSUID_START,
    USER_ID_UPDATE,
    VISIBILITY_WINDOW,
)
from .traffic import (
    CALL_IN,
    CALL_OUT,
    ECHO,
    INBOUND,
    OUTBOUND,
    PREFERENCE,
    Group,
    Rotation,
    Traffic,
)
from .world import CHANGE, JOIN, REREGISTER, World, json_strings

MESSAGE, STATUS, ECHOED, SPECIAL = range(4)
STATUSES = ("sent", "delivered", "read", "failed", "played", "failed")
SENT, DELIVERED, READ, UNREACHABLE, PLAYED, HELD_BACK = range(6)
FAILED = (UNREACHABLE, HELD_BACK)
# What is odd about an inbound message.
NO_QUIRK, EMPTY_PHONE, BSUID_AS_PHONE, BAD_BSUID, NO_PROFILE, AT_USERNAME = range(6)

BSUID_FROM = np.array([number.bsuid_from for number in business.NUMBERS])
ENROLLED = np.array(business.PARENT_ENROLLED)


@dataclass(slots=True)
class Special:
    """An update with its JSON. `pairs` are the account x portfolio keys whose BSUID and phone
    it shows together; `rotation` is the index of the change it tells of, or -1; `rows` of a sync
    are (row of Traffic, phone shown, BSUID shown)."""

    time: int
    number: int
    container: int
    contacts: list[str]
    items: list[str]
    label: str
    pairs: list[int] = field(default_factory=list)
    rotation: int = -1
    rows: list[tuple[int, bool, bool]] = field(default_factory=list)


@dataclass
class GroupSend:
    """A message to a group: its id, time and business number."""

    message_id: str
    time: int
    number: int


@dataclass
class Updates:
    """Updates ordered by time; parallel arrays, plus the specials they refer to."""

    time: np.ndarray
    kind: np.ndarray  # MESSAGE .. SPECIAL
    ref: np.ndarray  # row of Traffic, or index of specials
    code: (
        np.ndarray
    )  # of a status SENT .. HELD_BACK; of a message the quirk; of an echo: it is named
    phone: np.ndarray  # bool: shown
    bsuid: np.ndarray
    parent: np.ndarray
    username: np.ndarray
    variant: np.ndarray  # bool: the phone is in its other regional form
    specials: list[Special]
    sends: list[GroupSend]


class Showing:
    """What is shown of an account at a time, for the specials."""

    def __init__(self, world: World, bsuid: np.ndarray, parent: np.ndarray) -> None:
        self.world = world
        self.names = json_strings(world.names)
        self._bsuid = bsuid
        self._parent = parent

    def ids(self, account: int, number: int, time: int, visible: bool) -> tuple[str, str, str]:
        """Phone, BSUID and parent as shown at a business number; "" for what is not."""
        portfolio = int(NUMBER_PORTFOLIO[number])
        phone = self.phone(account) if visible else ""
        bsuid = self.bsuid(account, portfolio) if time >= BSUID_FROM[number] else ""
        parented = bsuid and ENROLLED[portfolio] and time >= PARENT_START
        return phone, bsuid, self.parent(account) if parented else ""

    def phone(self, account: int) -> str:
        return self.world.wa_id[self.world.account_number[account]]

    def bsuid(self, account: int, portfolio: int) -> str:
        return self._bsuid[account * SLOTS + portfolio]

    def parent(self, account: int) -> str:
        return self._parent[account]

    def name(self, account: int, time: int) -> str:
        """The profile name, a JSON literal."""
        person = self.world.account_person[account]
        return self.names[self.world.name_at(np.array([person]), np.array([time]))[0]]

    def username(self, account: int, time: int) -> str:
        person = self.world.account_person[account]
        lease = self.world.username_at(np.array([person]), np.array([time]))[0]
        return self.world.usernames[lease] if lease >= 0 else ""


def build(
    world: World,
    traffic: Traffic,
    rotations: list[Rotation],
    groups: list[Group],
    showing: Showing,
    seed: int,
) -> Updates:
    """All updates of a world, each once, in order of time."""
    flow, rare = (np.random.default_rng(s) for s in np.random.SeedSequence([seed, 3]).spawn(2))
    specials = _small(traffic, showing)
    specials += _corrections(world, traffic, showing, rare)
    specials += _rotation_updates(world, traffic, rotations, showing, rare)
    specials += _identity_events(world, showing, rare)
    group_specials, sends = _group_updates(world, groups, showing)
    specials += group_specials
    specials += _account_updates(world)
    specials += _syncs(world, traffic, showing, rare)
    specials.sort(key=lambda special: special.time)

    message = _messages(world, traffic, flow)
    status = _statuses(world, traffic, flow)
    echo = _echoes(world, traffic, flow)
    count = len(specials)
    none = np.zeros(count, bool)
    rest = (
        np.array([special.time for special in specials], np.int64),
        np.full(count, SPECIAL),
        np.arange(count),
        np.zeros(count, np.int64),
        none,
        none,
        none,
        none,
        none,
    )
    # Specials first: at equal times a change comes before what follows from it.
    columns = [np.concatenate(parts) for parts in zip(rest, message, echo, status, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Updates(*(column[order] for column in columns), specials, sends)


def _messages(world: World, traffic: Traffic, rng: np.random.Generator) -> tuple:
    row = np.flatnonzero((traffic.kind == INBOUND) & traffic.live)
    time, number = traffic.time[row], traffic.business_number[row]
    phone = traffic.visible[row].copy()
    bsuid = time >= BSUID_FROM[number]
    username = traffic.username[row] >= 0
    parent = bsuid & ENROLLED[NUMBER_PORTFOLIO[number]] & (time >= PARENT_START)
    odd = rng.random(len(row)) < world.profile.quirks
    quirk = np.where(odd, rng.integers(1, 6, len(row)), NO_QUIRK)
    fits = np.select(
        [quirk == EMPTY_PHONE, quirk == BSUID_AS_PHONE, quirk == BAD_BSUID, quirk == AT_USERNAME],
        [~phone, bsuid, bsuid & phone, username],
        default=True,
    ).astype(bool)
    quirk = np.where(fits, quirk, NO_QUIRK)
    phone &= quirk != BSUID_AS_PHONE
    bsuid &= quirk != BAD_BSUID
    username &= quirk != NO_PROFILE
    return (
        time,
        np.full(len(row), MESSAGE),
        row,
        quirk,
        phone,
        bsuid,
        parent,
        username,
        np.zeros(len(row), bool),
    )


def _statuses(world: World, traffic: Traffic, rng: np.random.Generator) -> tuple:
    profile = world.profile
    row = np.flatnonzero((traffic.kind == OUTBOUND) & traffic.live)
    count = len(row)
    reached = traffic.account[row] >= 0
    failed = ~reached | (rng.random(count) < profile.failed)
    held_back = failed & reached & (rng.random(count) >= profile.failed_as_unreachable)
    delivered = ~failed & (rng.random(count) < profile.delivered)
    read = delivered & (rng.random(count) < profile.read)
    played = read & (rng.random(count) < 0.01)
    sent_at = traffic.time[row] + 1
    # Most phones are on: seconds; some are off: hours.
    wait = np.where(
        rng.random(count) < 0.9, rng.exponential(4, count), rng.exponential(5 * HOUR, count)
    )
    delivered_at = sent_at + 1 + wait.astype(np.int64)
    read_at = delivered_at + 1 + rng.exponential(40 * MINUTE, count).astype(np.int64)
    parts = []
    for code, happens, at in (
        (SENT, ~failed, sent_at),
        (DELIVERED, delivered, delivered_at),
        (READ, read, read_at),
        (UNREACHABLE, failed & ~held_back, sent_at + 1),
        (HELD_BACK, held_back, sent_at + 1),
        (PLAYED, played, read_at + 5),
    ):
        inside = happens & (at < END - MINUTE)
        if code in (DELIVERED, READ, PLAYED):
            # Nothing arrives at an account that is closed by then.
            inside &= at < world.account_end[traffic.account[row]]
        parts.append((row[inside], np.full(inside.sum(), code), at[inside]))
    row, code, at = (np.concatenate(columns) for columns in zip(*parts, strict=True))

    number = business.shown_under(traffic.business_number[row], at)
    to_bsuid = traffic.to_bsuid[row]
    passed_on = at >= np.maximum(BSUID_FROM[number], STATUS_BSUID_START)
    lost = np.isin(code, FAILED)
    bsuid = np.where(lost, to_bsuid, to_bsuid | passed_on)
    phone = ~to_bsuid | traffic.visible[row]
    parent = bsuid & ENROLLED[NUMBER_PORTFOLIO[number]] & (at >= PARENT_START)
    username = (traffic.username[row] >= 0) & np.isin(code, (DELIVERED, READ, PLAYED)) & bsuid
    variant = lost & ~to_bsuid & (rng.random(len(row)) < profile.phone_variant)
    return at, np.full(len(row), STATUS), row, code, phone, bsuid, parent, username, variant


def _echoes(world: World, traffic: Traffic, rng: np.random.Generator) -> tuple:
    row = np.flatnonzero((traffic.kind == ECHO) & traffic.live)
    time, number = traffic.time[row], traffic.business_number[row]
    bare = traffic.visible[row] & (rng.random(len(row)) < world.profile.echo_phone_only)
    bsuid = (time >= BSUID_FROM[number]) & ~bare
    parent = bsuid & ENROLLED[NUMBER_PORTFOLIO[number]] & (time >= PARENT_START)
    username = (traffic.username[row] >= 0) & bsuid
    variant = ~bsuid & (rng.random(len(row)) < world.profile.phone_variant)
    named = (time >= STATUS_BSUID_START) & (rng.random(len(row)) < world.profile.echo_named)
    return (
        time,
        np.full(len(row), ECHOED),
        row,
        named.astype(np.int64),
        traffic.visible[row],
        bsuid,
        parent,
        username,
        variant,
    )


def _pairs(account: int, number: int, phone: str, bsuid: str) -> list[int]:
    return [account * SLOTS + int(NUMBER_PORTFOLIO[number])] if phone and bsuid else []


def _small(traffic: Traffic, showing: Showing) -> list[Special]:
    """Calls (connect and terminate) and marketing preferences."""
    out = []
    rows = np.flatnonzero(np.isin(traffic.kind, (CALL_IN, CALL_OUT, PREFERENCE)) & traffic.live)
    for i in rows.tolist():
        time, kind = int(traffic.time[i]), int(traffic.kind[i])
        number, account = int(traffic.business_number[i]), int(traffic.account[i])
        phone, bsuid, parent = showing.ids(account, number, time, bool(traffic.visible[i]))
        username = showing.username(account, time)
        pairs = _pairs(account, number, phone, bsuid)
        display = business.NUMBERS[number].display
        if kind == PREFERENCE:
            value = "stop" if i % 3 else "resume"
            item = (
                "{"
                + wire.contact(None, "", phone, bsuid, parent)[1:-1]
                + f',"detail":"User requested to {value} marketing messages",'
                f'"category":"marketing_messages","value":"{value}","timestamp":{time}}}'
            )
            card = wire.contact(showing.name(account, time), username, phone, bsuid, parent)
            out.append(
                Special(time, number, wire.PREFERENCES, [card], [item], "user_preferences", pairs)
            )
            continue
        # Contacts of calls have no name, at most a username.
        card = wire.contact(None, username, phone, bsuid, parent)
        contacts = [card] if bsuid else []
        if kind == CALL_IN:
            who = wire.ids("from", phone, bsuid, parent) + f'"to":"{display}",'
            direction = "USER_INITIATED"
        else:
            who = f'"from":"{display}",' + wire.ids("to", phone, bsuid, parent)
            direction = "BUSINESS_INITIATED"
        for event, at, extra in (
            ("connect", time, ""),
            ("terminate", time + 30, ',"status":"COMPLETED","duration":30'),
        ):
            item = (
                f'{{"id":"wacid.SIM{i:010d}",{who}"event":"{event}","timestamp":"{at}",'
                f'"direction":"{direction}"{extra}}}'
            )
            out.append(Special(at, number, wire.CALLS, contacts, [item], "calls", pairs))
    return out


def _corrections(
    world: World, traffic: Traffic, showing: Showing, rng: np.random.Generator
) -> list[Special]:
    """Edits and revocations of messages and echoes, each with an id of its own."""
    profile = world.profile
    rows = np.flatnonzero(np.isin(traffic.kind, (INBOUND, ECHO)) & traffic.live)
    luck = rng.random(len(rows))
    chosen = luck < profile.edited + profile.revoked
    wait = rng.integers(5, 10 * MINUTE, chosen.sum()).tolist()
    out = []
    for row, what, later in zip(rows[chosen].tolist(), luck[chosen].tolist(), wait, strict=True):
        kind = "edit" if what < profile.edited else "revoke"
        account, number = int(traffic.account[row]), int(traffic.business_number[row])
        time = int(traffic.time[row]) + later
        if time >= min(END - MINUTE, world.account_end[account]):
            continue
        inbound = traffic.kind[row] == INBOUND
        phone, bsuid, parent = showing.ids(account, number, time, bool(traffic.visible[row]))
        if time < (REVOKE_IDS if inbound and kind == "revoke" else EDIT_IDS):
            bsuid = parent = ""
        who = wire.ids("from" if inbound else "to", phone, bsuid, parent)
        content = f'"original_message_id":"wamid.SIM{row:010d}"'
        if kind == "edit":
            content += ',"message":{"type":"text","text":{"body":"perdão"}}'
        item = (
            f'{{{who}"id":"wamid.SIMC{row:09d}","timestamp":"{time}",'
            f'"type":"{kind}","{kind}":{{{content}}}}}'
        )
        name = showing.name(account, time) if inbound else None
        cards = [wire.contact(name, showing.username(account, time), phone, bsuid, parent)]
        if not inbound:
            item = f'{{"from":"{business.NUMBERS[number].display}",{item[1:]}'
            cards = cards if bsuid else []
        where = wire.MESSAGES if inbound else wire.ECHOES
        pairs = _pairs(account, number, phone, bsuid)
        out.append(Special(time, number, where, cards, [item], kind, pairs))
    return out


class _Window:
    """Whether the phone of an account may be shown, after the fact, at any time."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._books = business.contact_book(world.profile)
        keep = (traffic.account >= 0) & traffic.visible & ~traffic.to_bsuid
        keep &= (traffic.kind != PREFERENCE) & (traffic.time >= BSUID_FROM.min())
        rows = np.flatnonzero(keep)
        rows = rows[np.argsort(traffic.account[rows], kind="stable")]
        self._account = traffic.account[rows]
        self._time = traffic.time[rows]
        self._number = traffic.business_number[rows]

    def open(self, account: int, number: int, time: int) -> bool:
        """By the 30 days of this business number, or the contact book of its owner."""
        first, last = np.searchsorted(self._account, (account, account + 1))
        times, numbers = self._time[first:last], self._number[first:last]
        near = (NUMBER_LINE[numbers] == NUMBER_LINE[number]) & (times < time)
        near &= times >= time - VISIBILITY_WINDOW
        owner = NUMBER_OWNER[number]
        opens, closes = self._books[owner]
        booked = (NUMBER_OWNER[numbers] == owner) & (times < time) & (times >= opens)
        return bool(near.any() or (opens <= time < closes and booked.any()))


def _rotation_updates(
    world: World,
    traffic: Traffic,
    rotations: list[Rotation],
    showing: Showing,
    rng: np.random.Generator,
) -> list[Special]:
    """System messages of the generation of their day; nothing for the lost ones."""
    window = _Window(world, traffic)
    out = []
    for index, change in enumerate(rotations):
        luck = rng.random((len(business.NUMBERS), 5)).tolist()
        if not change.delivered:
            continue
        time, old, new = change.time, change.old_account, change.new_account
        lease = showing.username(new, time)
        name = showing.name(new, time)[1:-1]
        for number in change.business_numbers:
            wa, frm, legacy, also, lag = luck[number]
            visible = not lease or time < HIDING_START or window.open(old, number, time)
            at = time + int(lag * 20)
            if time < ROTATION_GEN2:
                out.append(_generation1(showing, change, index, number, at, name, legacy < 0.1))
            else:
                out.append(
                    _later_generation(
                        showing,
                        change,
                        index,
                        number,
                        at,
                        name,
                        visible,
                        wa < world.profile.rotation_phones,
                        frm < world.profile.rotation_phones,
                    )
                )
            if (
                USER_ID_UPDATE[0] <= time < USER_ID_UPDATE[1]
                and also < world.profile.user_id_update
            ):
                out.append(_user_id_update(showing, change, index, number, at, visible))
    return out


def _system_id(index: int, number: int) -> str:
    return f"wamid.SIMR{index:07d}.{number}"


def _generation1(
    showing: Showing, change: Rotation, index: int, number: int, at: int, name: str, old: bool
) -> Special:
    """Before May 2026: phones only. `old` has the field names of API v11."""
    before, after = showing.phone(change.old_account), showing.phone(change.new_account)
    body = f"User {name} changed from {before} to {after}"
    if old:
        system = (
            f'"type":"customer_changed_number","body":"{body}","customer":"{before}",'
            f'"new_wa_id":"{after}"'
        )
    else:
        system = f'"type":"user_changed_number","body":"{body}","wa_id":"{after}"'
    item = (
        f'{{"from":"{before}","id":"{_system_id(index, number)}","timestamp":"{at}",'
        f'"type":"system","system":{{{system}}}}}'
    )
    return Special(at, number, wire.MESSAGES, [], [item], "rotation_1", rotation=index)


def _later_generation(
    showing: Showing,
    change: Rotation,
    index: int,
    number: int,
    at: int,
    name: str,
    visible: bool,
    with_new: bool,
    with_old: bool,
) -> Special:
    """From May 2026: BSUIDs. Until August the old one is in the free text only."""
    old, new = change.old_account, change.new_account
    before, old_id, old_parent = showing.ids(old, number, at, visible)
    after, new_id, new_parent = showing.ids(new, number, at, visible)
    if at < ROTATION_GEN3:
        kind, label = "user_changed_user_id", "rotation_2"
        body = f"User {name} changed from {old_id} to {new_id}"
        after, before = after if with_new else "", before if with_old else ""
        fields = f'"user_id":"{new_id}"'
        if new_parent:
            fields += f',"parent_user_id":"{new_parent}"'
    else:
        kind = "user_changed_number" if visible else "user_changed_user_id"
        label = "rotation_3"
        left, right = (before, after) if visible else (old_id, new_id)
        body = f"User {name} changed from {left} to {right}"
        fields = f'"previous_user_id":"{old_id}","user_id":"{new_id}"'
        if new_parent:
            fields += f',"previous_parent_user_id":"{old_parent}","parent_user_id":"{new_parent}"'
    if after:
        fields = f'"wa_id":"{after}",' + fields
    sender = f'"from":"{before}",' if before else ""
    item = (
        f'{{{sender}"id":"{_system_id(index, number)}","timestamp":"{at}","type":"system",'
        f'"system":{{"type":"{kind}","body":"{body}",{fields}}}}}'
    )
    pairs = _pairs(old, number, before, old_id) + _pairs(new, number, after, new_id)
    return Special(at, number, wire.MESSAGES, [], [item], label, pairs, index)


def _user_id_update(
    showing: Showing, change: Rotation, index: int, number: int, at: int, visible: bool
) -> Special:
    """The webhook that was documented and withdrawn: it may come beside the system message."""
    old, new = change.old_account, change.new_account
    phone, new_id, new_parent = showing.ids(new, number, max(at, BSUID_FROM[number]), visible)
    old_id = showing.bsuid(old, change.portfolio)
    parents = ""
    if new_parent:
        parents = (
            f'"parent_user_id":{{"previous":"{showing.parent(old)}","current":"{new_parent}"}},'
        )
    item = (
        (f'{{"wa_id":"{phone}",' if phone else "{")
        + f'"detail":"User id updated","user_id":{{"previous":"{old_id}",'
        f'"current":"{new_id}"}},{parents}"timestamp":"{at}"}}'
    )
    card = wire.contact(showing.name(new, at), "", phone, "", "")
    pairs = _pairs(new, number, phone, new_id)
    return Special(at, number, wire.USER_ID_UPDATE, [card], [item], "user_id_update", pairs, index)


def _identity_events(world: World, showing: Showing, rng: np.random.Generator) -> list[Special]:
    """customer_identity_changed: new key on a number, by a reinstall or by a new owner."""
    memberships: dict[int, list[int]] = {}
    for person, portfolio in zip(
        world.member_person.tolist(), world.member_portfolio.tolist(), strict=True
    ):
        memberships.setdefault(person, []).append(portfolio)
    order = np.lexsort((world.account_start, world.account_number))
    number, person = world.account_number[order], world.account_person[order]
    second = (
        np.flatnonzero(
            (number[1:] == number[:-1])
            & ((person[1:] != person[:-1]) | (world.account_reason[order][1:] == REREGISTER))
        )
        + 1
    )
    owners = order[second]
    owners = owners[np.isin(world.account_reason[owners], (JOIN, CHANGE, REREGISTER))]
    times, who = world.reinstalls[:, 0], world.reinstalls[:, 1]
    accounts = np.concatenate([world.account_at(who, times), owners])
    times = np.concatenate([times, world.account_start[owners] + 30])
    out = []
    for i, (account, time) in enumerate(zip(accounts.tolist(), times.tolist(), strict=True)):
        luck = rng.random(3).tolist()
        if luck[0] >= world.profile.identity_event or account < 0 or time >= END - HOUR:
            continue
        if showing.username(account, time) and time >= HIDING_START:
            continue  # the event names nobody without a phone
        phone = showing.phone(account)
        for portfolio in memberships.get(int(world.account_person[account]), ()):
            choices = np.flatnonzero((portfolio == NUMBER_PORTFOLIO) & (SINCE == 0))
            where = int(business.current(choices[int(luck[1] * len(choices))], time))
            if not business.live(world.profile, where, time):
                continue
            item = (
                f'{{"from":"{phone}","id":"wamid.SIMK{i:07d}.{where}","timestamp":"{time}",'
                f'"type":"system","system":{{"type":"customer_identity_changed",'
                f'"body":"User changed their security code","customer":"{phone}"}},'
                f'"identity":{{"acknowledged":true,"created_timestamp":"{time}",'
                f'"hash":"{i * 2654435761 % 2**32:08x}"}}}}'
            )
            out.append(Special(time, where, wire.MESSAGES, [], [item], "identity_changed"))
    return out


def _group_updates(
    world: World, groups: list[Group], showing: Showing
) -> tuple[list[Special], list[GroupSend]]:
    """Participants joining, and aggregated statuses of what the business sends to groups."""
    out: list[Special] = []
    sends: list[GroupSend] = []
    for index, group in enumerate(groups):
        number, group_id = group.business_number, f"SIM-G{index}"
        people, pairs = [], []
        for account in group.accounts:
            handle = showing.username(account, group.created)
            visible = not handle or group.created < HIDING_START
            phone, bsuid, parent = showing.ids(account, number, group.created, visible)
            fields = wire.contact(None, "", phone, bsuid, parent)[1:-1]
            people.append(f'{{{fields},"username":"{handle}"}}' if handle else f"{{{fields}}}")
            pairs += _pairs(account, number, phone, bsuid)
        item = (
            f'{{"timestamp":"{group.created}","group_id":"{group_id}",'
            f'"type":"group_participants_add","reason":"invite_link",'
            f'"added_participants":[{",".join(people)}]}}'
        )
        out.append(Special(group.created, number, wire.GROUPS, [], [item], "group", pairs))
        for turn, time in enumerate(group.sends):
            message_id = f"wamid.SIMG{index:06d}.{turn}"
            cards, items, pairs = [], [], []
            for account in group.accounts:
                if time + DAY >= world.account_end[account]:
                    continue
                handle = showing.username(account, time)
                visible = not handle or time < HIDING_START
                phone, bsuid, parent = showing.ids(account, number, time, visible)
                cards.append(
                    wire.contact(showing.name(account, time), handle, phone, bsuid, parent)
                )
                shown = f'"recipient_participant_id":"{phone}",' if phone else ""
                shown += f'"recipient_participant_user_id":"{bsuid}"'
                if parent:
                    shown += f',"recipient_participant_parent_user_id":"{parent}"'
                items.append(
                    f'{{"id":"{message_id}","status":"delivered",'
                    f'"timestamp":"{time + 3}","recipient_id":"{group_id}",'
                    f'"recipient_type":"group",{shown}}}'
                )
                pairs += _pairs(account, number, phone, bsuid)
            if items:
                sends.append(GroupSend(message_id, time, number))
                out.append(
                    Special(time + 3, number, wire.STATUSES, cards, items, "group_status", pairs)
                )
    return out, sends


def _account_updates(world: World) -> list[Special]:
    """PARTNER_ADDED per WABA and owner: names it, under the partner's id instead of the WABA's."""
    out, seen = [], set()
    for number, config in enumerate(business.NUMBERS):
        who = int(NUMBER_OWNER[number])
        if (config.waba_id, who) in seen:
            continue
        seen.add((config.waba_id, who))
        owner = business.PORTFOLIO_IDS[who].replace("waba:", "9")
        time = max(world.start, config.since) + HOUR + number
        text = (
            f'{{"id":"700000000000001","time":{time},"changes":[{{"field":"account_update",'
            f'"value":{{"event":"PARTNER_ADDED","waba_info":{{"waba_id":"{config.waba_id}",'
            f'"owner_business_id":"{owner}"}}}}}}]}}'
        )
        out.append(Special(time, number, -1, [], [text], "account_update"))
    return out


_THREADS = 40  # assumption: chats in one webhook of a sync


def _syncs(
    world: World, traffic: Traffic, showing: Showing, rng: np.random.Generator
) -> list[Special]:
    """Chats and address book of the coexistence numbers that came to the API, or to another WABA.

    Ids are those of the day of the sync; both days are before there are usernames.
    """
    profile = world.profile
    moved = np.flatnonzero(business.COEXISTENCE & (SINCE > 0)).tolist()
    out = []
    for number, time in (
        (business.ONBOARDED, profile.coexistence_onboarded),
        *((number, int(SINCE[number])) for number in moved),
    ):
        mine = NUMBER_LINE[traffic.business_number] == NUMBER_LINE[number]
        mine &= np.isin(traffic.kind, (INBOUND, OUTBOUND, ECHO)) & (traffic.account >= 0)
        mine &= (traffic.time < time) & (traffic.time >= time - HISTORY_DAYS * DAY)
        rows = np.flatnonzero(mine)
        if not profile.history_gone:
            rows = rows[world.account_end[traffic.account[rows]] > time]
        rows = rows[np.argsort(traffic.account[rows], kind="stable")]
        accounts, first = np.unique(traffic.account[rows], return_index=True)
        chats = list(zip(accounts.tolist(), np.split(rows, first[1:]), strict=True))
        parts = [chats[i : i + _THREADS] for i in range(0, len(chats), _THREADS)]
        for order, part in enumerate(parts):
            at = time + 60 + order
            metadata = (
                f'"metadata":{{"phase":0,"chunk_order":{order + 1},'
                f'"progress":{100 * (order + 1) // len(parts)}}}'
            )
            threads, contacts, shown, pairs = [], [], [], []
            saved = (rng.random(len(part)) < profile.address_book).tolist()
            for (account, messages), save in zip(part, saved, strict=True):
                phone, bsuid, parent = showing.ids(account, number, time, True)
                if world.account_end[account] <= time:
                    bsuid = parent = ""  # the number of somebody who has gone
                threads.append(_thread(traffic, messages.tolist(), number, phone, bsuid, parent))
                shown += [(row, True, bool(bsuid)) for row in messages.tolist()]
                if save:
                    # Named as the business calls them.
                    name = f'"Cliente {showing.name(account, time)[1:]}'
                    ids = f'"phone_number":"{phone}"'
                    ids += f',"user_id":"{bsuid}"' if bsuid else ""
                    ids += f',"parent_user_id":"{parent}"' if parent else ""
                    contacts.append(
                        f'{{"type":"contact","contact":{{"full_name":{name},{ids}}},'
                        f'"action":"add","metadata":{{"timestamp":"{time}"}}}}'
                    )
                    pairs += _pairs(account, number, phone, bsuid)
            item = f'{{{metadata},"threads":[{",".join(threads)}]}}'
            out.append(Special(at, number, wire.HISTORY, [], [item], "history", rows=shown))
            if contacts:
                out.append(Special(at, number, wire.STATE_SYNC, [], contacts, "state_sync", pairs))
    return out


def _thread(
    traffic: Traffic, rows: list[int], number: int, phone: str, bsuid: str, parent: str
) -> str:
    """One chat of a history sync."""
    display = business.NUMBERS[number].display
    messages = []
    for row in rows:
        if traffic.kind[row] == INBOUND:
            who = wire.ids("from", phone, bsuid, parent)
        else:
            who = f'"from":"{display}","to":"{phone}",'
        messages.append(
            f'{{{who}"id":"wamid.SIM{row:010d}","timestamp":"{int(traffic.time[row])}",'
            '"type":"text","text":{"body":"ok"},"history_context":{"status":"READ"}}'
        )
    context = wire.contact(None, "", phone, bsuid, parent)
    return f'{{"id":"{phone}","context":{context},"messages":[{",".join(messages)}]}}'


def standby(time: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Inbound messages shown under `standby`: a bot held the conversation (bool per row)."""
    return (time >= STANDBY_START) & (rows % 211 == 0)
