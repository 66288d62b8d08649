"""Who exists: persons, their WhatsApp accounts, phone numbers, names and usernames over time.

All times are epoch seconds (int64). Intervals are half-open. Arrays of one entity are parallel;
persons, accounts and numbers are indexes into them.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import orjson

from . import business, names, phones
from .profile import (
    DAY,
    END,
    USERNAME_ROLLOUT_DAYS,
    USERNAME_START,
    YEAR,
    Profile,
)

JOIN, CHANGE, RETURN, REREGISTER, LEAVE = range(5)
REASONS = ("join", "number_change", "number_return", "reregistration")


@dataclass
class World:
    """The simulated world. P persons, A accounts, N numbers, M memberships."""

    profile: Profile
    start: int
    country: np.ndarray  # [P] index into business.COUNTRIES
    joined: np.ndarray  # [P]
    left: np.ndarray  # [P], END if never
    guest_of: np.ndarray  # [P] person on whose account this one writes, or -1
    same_as: np.ndarray  # [P] person whose second phone this one is, or -1
    # accounts, ordered by (person, start)
    account_person: np.ndarray
    account_number: np.ndarray
    account_start: np.ndarray
    account_end: np.ndarray
    account_bsuid_key: np.ndarray  # accounts with the same key have the same BSUIDs
    account_reason: np.ndarray  # index into REASONS
    # numbers
    number_country: np.ndarray
    wa_id: list[str]
    wa_id_variant: list[str]  # the other regional form, or the same
    # profile names, ordered by (person, start)
    name_person: np.ndarray
    name_start: np.ndarray
    name_id: np.ndarray  # index into names
    names: list[str]
    # username leases, ordered by (person, start)
    username_person: np.ndarray
    username_start: np.ndarray
    username_end: np.ndarray
    usernames: list[str]
    username_former: np.ndarray  # person who had the handle before, or -1
    # customers of portfolios
    member_person: np.ndarray  # [M]
    member_portfolio: np.ndarray  # [M]
    member_weight: np.ndarray  # [M] share of the person's messages
    # number events: rows (time, person)
    reinstalls: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def account_at(self, person: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The account a person has at a time, or -1."""
        return _interval_at(self.account_person, self.account_start, self.account_end, person, time)

    def holder_at(self, number: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The account registered on a number at a time, or -1."""
        order = np.lexsort((self.account_start, self.account_number))
        found = _interval_at(
            self.account_number[order],
            self.account_start[order],
            self.account_end[order],
            number,
            time,
        )
        return np.where(found >= 0, order[found], -1)

    def name_at(self, person: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The profile name (index into names) a person shows at a time."""
        never_ends = np.full(len(self.name_start), np.iinfo(np.int64).max)
        found = _interval_at(self.name_person, self.name_start, never_ends, person, time)
        return self.name_id[found]

    def username_at(self, person: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The username (index into usernames) a person has at a time, or -1."""
        return _interval_at(
            self.username_person, self.username_start, self.username_end, person, time
        )


def _interval_at(
    owner: np.ndarray, start: np.ndarray, end: np.ndarray, who: np.ndarray, when: np.ndarray
) -> np.ndarray:
    """Index of the interval of `who` that holds `when`, or -1. Sorted by (owner, start)."""
    who = np.asarray(who, np.int64)
    if len(owner) == 0:
        return np.full(len(who), -1, np.int64)
    shift = np.int64(1) << 33  # epoch seconds fit below
    found = np.searchsorted(owner * shift + start, who * shift + when, side="right") - 1
    at = np.maximum(found, 0)
    good = (found >= 0) & (owner[at] == who) & (when < end[at])
    return np.where(good, at, -1)


def poisson_times(
    rng: np.random.Generator, per_year: np.ndarray | float, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Event times of a Poisson process per row: (row index, epoch seconds), by row."""
    span = np.maximum(end - start, 0)
    count = rng.poisson(np.asarray(per_year) * span / YEAR)
    row = np.repeat(np.arange(len(start)), count)
    time = start[row] + (rng.random(len(row)) * span[row]).astype(np.int64)
    return row, time


def build(profile: Profile, persons: int, years: float, seed: int) -> World:
    """Draw a world of `persons` persons over the `years` before END."""
    life, draw, text, member, twice = (
        np.random.default_rng(s) for s in np.random.SeedSequence([seed, 1]).spawn(5)
    )
    start = END - int(years * YEAR)
    # Arrivals replace leavers, so that the population stays about level.
    arrivals = profile.leave * years
    later = life.random(persons) < arrivals / (1 + arrivals)
    offset = life.random(persons) * (END - start)
    joined = np.where(later, start + offset.astype(np.int64), start).astype(np.int64)
    country = life.choice(len(business.COUNTRIES), size=persons, p=business.COUNTRY_WEIGHTS).astype(
        np.int64
    )
    leaves = joined + (
        life.exponential(1 / profile.leave if profile.leave else 1e9, persons) * YEAR
    ).astype(np.int64)
    left = np.minimum(leaves, END)
    same_as = _second_phones(profile, twice, persons)
    for values in (country, joined, left):
        values[:] = np.where(same_as >= 0, values[same_as], values)

    accounts, numbers = _accounts(profile, life, country, joined, left)
    wa_id, variant = _phone_strings(life, numbers)
    name_person, name_start, name_id, vocabulary = _names(profile, text, joined, left, same_as)
    leases = _usernames(profile, draw, joined, left)
    member_person, member_portfolio, member_weight = _memberships(profile, member, country, same_as)
    guests = _guests(profile, draw, persons)
    row, time = poisson_times(draw, profile.reinstall, joined, left)

    extra = len(guests)
    return World(
        profile=profile,
        start=start,
        country=np.concatenate([country, country[guests]]),
        joined=np.concatenate([joined, joined[guests]]),
        left=np.concatenate([left, left[guests]]),
        guest_of=np.concatenate([np.full(persons, -1), guests]) if extra else np.full(persons, -1),
        same_as=np.concatenate([same_as, np.full(extra, -1)]),
        **accounts,
        number_country=numbers,
        wa_id=wa_id,
        wa_id_variant=variant,
        name_person=name_person,
        name_start=name_start,
        name_id=name_id,
        names=vocabulary,
        **leases,
        member_person=member_person,
        member_portfolio=member_portfolio,
        member_weight=member_weight,
        reinstalls=np.stack([time, row], axis=1).astype(np.int64),
    )


def _accounts(
    profile: Profile,
    rng: np.random.Generator,
    country: np.ndarray,
    joined: np.ndarray,
    left: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Play the life of all numbers in order of time.

    A released number waits `quarantine_days` in its country and may then go to the next person
    who needs a number there: recycling depends on who released what before, hence the loop.
    """
    persons = len(country)
    # A change that returns is two changes: the pinned rate counts both.
    outward = profile.number_change / (1 + profile.change_return)
    change_row, change_time = poisson_times(rng, outward, joined, left)
    returns = rng.random(len(change_row)) < profile.change_return
    return_time = change_time + (rng.uniform(20, 120, len(change_row)) * DAY).astype(np.int64)
    back = returns & (return_time < left[change_row])
    register_row, register_time = poisson_times(rng, profile.reregistration, joined, left)
    gone = np.flatnonzero(left < END)

    kind = np.concatenate(
        [
            np.full(persons, JOIN),
            np.full(len(change_row), CHANGE),
            np.full(back.sum(), RETURN),
            np.full(len(register_row), REREGISTER),
            np.full(len(gone), LEAVE),
        ]
    )
    time = np.concatenate([joined, change_time, return_time[back], register_time, left[gone]])
    who = np.concatenate([np.arange(persons), change_row, change_row[back], register_row, gone])
    temporary = np.concatenate(
        [np.zeros(persons, bool), back, np.zeros(len(kind) - persons - len(change_row), bool)]
    )
    order = np.lexsort((kind, who, time))
    luck = rng.random((len(kind), 4)).tolist()
    first_day = int(joined.min()) if persons else END

    quarantine = int(profile.quarantine_days * DAY)
    waiting: list[deque[tuple[int, int]]] = [deque() for _ in business.COUNTRIES]
    free: list[list[int]] = [[] for _ in business.COUNTRIES]
    number_country: list[int] = []
    rows: list[list[int]] = []  # person, number, start, end, bsuid_key, reason
    current = [-1] * persons  # row of the open account
    home = [-1] * persons  # row of the account whose number is kept during a stay away

    def release(number: int, now: int) -> None:
        waiting[number_country[number]].append((now + quarantine, number))

    def new_number(place: int, now: int, u: float, pick: float) -> int:
        queue, pool = waiting[place], free[place]
        while queue and queue[0][0] <= now:
            pool.append(queue.popleft()[1])
        # Numbers of the first day are nobody's second-hand ones: they start the world.
        if pool and now > first_day and u < profile.recycled:
            index = int(pick * len(pool))
            pool[index], pool[-1] = pool[-1], pool[index]
            return pool.pop()
        number_country.append(place)
        return len(number_country) - 1

    for i in order.tolist():
        what, now, person = int(kind[i]), int(time[i]), int(who[i])
        u, pick, travel, restore = luck[i]
        old = current[person]
        if what == JOIN:
            number = new_number(int(country[person]), now, u, pick)
            rows.append([person, number, now, END, len(rows), 0])
        elif what == LEAVE:
            rows[old][3] = now
            release(rows[old][1], now)
            if home[person] >= 0:
                release(rows[home[person]][1], now)
            continue
        elif what == CHANGE:
            if home[person] >= 0 or rows[old][2] >= now:
                continue  # away already: the stay ends with its return
            place = number_country[rows[old][1]]
            if travel < profile.change_country:
                place = (place + 1 + int(pick * (len(business.COUNTRIES) - 1))) % len(
                    business.COUNTRIES
                )
            rows[old][3] = now
            number = new_number(place, now, u, pick)
            rows.append([person, number, now, END, len(rows), 1])
            if temporary[i]:
                home[person] = old
            else:
                release(rows[old][1], now)
        elif what == RETURN:
            if home[person] < 0 or rows[old][2] >= now:
                continue
            back_to = rows[home[person]]
            rows[old][3] = now
            release(rows[old][1], now)
            same = restore < profile.return_restores_bsuid
            key = back_to[4] if same else len(rows)
            rows.append([person, back_to[1], now, END, key, 2])
            home[person] = -1
        else:
            if rows[old][2] >= now:
                continue
            rows[old][3] = now
            rows.append([person, rows[old][1], now, END, len(rows), 3])
        current[person] = len(rows) - 1

    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    table = table[np.lexsort((table[:, 2], table[:, 0]))]
    fields = ("person", "number", "start", "end", "bsuid_key", "reason")
    columns = {f"account_{name}": table[:, i].copy() for i, name in enumerate(fields)}
    return columns, np.array(number_country, dtype=np.int64)


def _phone_strings(
    rng: np.random.Generator, number_country: np.ndarray
) -> tuple[list[str], list[str]]:
    wa_id = [""] * len(number_country)
    variant = [""] * len(number_country)
    for code, name in enumerate(business.COUNTRIES):
        here = np.flatnonzero(number_country == code)
        old = phones.old_forms(rng, name, len(here)).tolist()
        for index, number in enumerate(here.tolist()):
            wa_id[number], variant[number] = phones.wa_ids(name, index, old[index])
    return wa_id, variant


def _names(
    profile: Profile,
    rng: np.random.Generator,
    joined: np.ndarray,
    left: np.ndarray,
    same_as: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Profile names over time: Zipf over the vocabulary, plus blank and symbol-only ones.

    A change either keeps the first name or draws another name. On a second phone the names are
    the same.
    """
    vocabulary = names.vocabulary(profile.name_vocabulary)
    weight = np.arange(1, len(vocabulary) + 1) ** -profile.name_exponent
    row, time = poisson_times(rng, profile.name_change, joined, left)
    person = np.concatenate([np.arange(len(joined)), row])
    start = np.concatenate([joined, time])
    name = rng.choice(len(vocabulary), size=len(person), p=weight / weight.sum())
    unusable = rng.random(len(person)) < profile.name_unusable
    blank = rng.integers(0, len(names.UNUSABLE), len(person))
    name = np.where(unusable, len(vocabulary) + blank, name)
    keeps = (rng.random(len(person)) < profile.name_keeps_word) & ~unusable
    luck = rng.random((len(person), 2))
    order = np.lexsort((start, person))
    person, start, name, keeps = person[order], start[order], name[order], keeps[order]
    turn = np.arange(len(person)) - np.searchsorted(person, person)
    for i in range(1, int(turn.max(initial=0)) + 1):
        row = np.flatnonzero((turn == i) & keeps)
        row = row[name[row - 1] < len(vocabulary)]
        name[row] = names.other_last(name[row - 1], *luck[row].T, len(vocabulary))
    doubles = np.flatnonzero(same_as >= 0)
    second = np.full(len(joined), -1)
    second[same_as[doubles]] = doubles
    own, again = same_as[person] < 0, second[person] >= 0
    person = np.concatenate([person[own], second[person[again]]])
    start, name = (np.concatenate([values[own], values[again]]) for values in (start, name))
    order = np.argsort(person, kind="stable")
    return person[order], start[order], name[order], vocabulary + list(names.UNUSABLE)


def _usernames(
    profile: Profile, rng: np.random.Generator, joined: np.ndarray, left: np.ndarray
) -> dict[str, object]:
    """Username leases: adopted, changed, given up, and sometimes taken by somebody else."""
    opens = np.maximum(joined, USERNAME_START)
    adopts = (rng.random(len(joined)) < profile.username_adoption) & (left > USERNAME_START)
    delay = (rng.random(len(joined)) * USERNAME_ROLLOUT_DAYS * DAY).astype(np.int64)
    adopted = opens + np.where(joined > USERNAME_START, 0, delay)
    who = np.flatnonzero(adopts & (adopted < left))
    row, change = poisson_times(rng, profile.username_change, adopted[who], left[who])
    gives_up = adopted[who] + (
        rng.exponential(1 / max(profile.username_release, 1e-9), len(who)) * YEAR
    ).astype(np.int64)
    until = np.minimum(gives_up, left[who])

    starts = np.concatenate([adopted[who], change])
    owners = np.concatenate([who, who[row]])
    ends = np.concatenate([until, until[row]])
    keep = starts < ends
    starts, owners, ends = starts[keep], owners[keep], ends[keep]
    order = np.lexsort((starts, owners))
    starts, owners, ends = starts[order], owners[order], ends[order]
    same = owners[1:] == owners[:-1]
    ends[:-1][same] = starts[1:][same]

    # A released handle goes to the next person who looks for one.
    flagged = (ends < END) & (rng.random(len(ends)) < profile.username_reclaim)
    stems = rng.integers(0, len(names.FIRST), len(starts)).tolist()
    handles = [""] * len(starts)
    former = np.full(len(starts), -1, np.int64)
    released = sorted((int(ends[i]), int(i)) for i in np.flatnonzero(flagged))
    pool: deque[tuple[int, int]] = deque(released)
    for i in np.argsort(starts, kind="stable").tolist():
        if pool and pool[0][0] <= starts[i] and owners[pool[0][1]] != owners[i]:
            source = pool.popleft()[1]
            handles[i] = handles[source]
            former[i] = owners[source]
        else:
            handles[i] = names.username(stems[i], i)
    return {
        "username_person": owners.astype(np.int64),
        "username_start": starts.astype(np.int64),
        "username_end": ends.astype(np.int64),
        "usernames": handles,
        "username_former": former,
    }


def _memberships(
    profile: Profile, rng: np.random.Generator, country: np.ndarray, same_as: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which portfolios a person is a customer of, with the share of messages in each."""
    weights = np.array(business.PORTFOLIO_WEIGHTS)
    cumulative = np.cumsum(weights, axis=1)[country]
    first = (rng.random(len(country))[:, None] > cumulative[:, :-1]).sum(axis=1)
    first = np.where(same_as >= 0, first[same_as], first)
    second = (first + 1 + rng.integers(0, business.SHOPS - 1, len(country))) % business.SHOPS
    two = (rng.random(len(country)) < profile.second_portfolio) & (first < business.SHOPS)
    person = np.concatenate([np.arange(len(country)), np.flatnonzero(two)])
    portfolio = np.concatenate([first, second[two]])
    weight = np.concatenate([np.where(two, 0.7, 1.0), np.full(two.sum(), 0.3)])
    return person, portfolio, weight


def _second_phones(profile: Profile, rng: np.random.Generator, persons: int) -> np.ndarray:
    """Per person whose second phone it is, or -1; nobody has more than two."""
    pairs = rng.permutation(persons)[: 2 * round(persons * profile.second_phone)].reshape(2, -1)
    same_as = np.full(persons, -1)
    same_as[pairs[0]] = pairs[1]
    return same_as


def _guests(profile: Profile, rng: np.random.Generator, persons: int) -> np.ndarray:
    """Hosts of the shared handsets, one entry per guest; at least one if the rate is not 0."""
    if not profile.shared_handset:
        return np.empty(0, np.int64)
    count = max(1, round(persons * profile.shared_handset))
    return np.sort(rng.choice(persons, size=count, replace=False)).astype(np.int64)


def json_strings(values: list[str]) -> list[str]:
    """Each value as a JSON string literal."""
    return [orjson.dumps(value).decode() for value in values]
