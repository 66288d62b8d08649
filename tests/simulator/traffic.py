"""Who wrote to whom: messages and calls between accounts and business numbers, and what of the
account's identifiers the webhooks may show.

One row of `Traffic` is one interaction. The visibility of the phone follows the documented rule:
without a username the phone is always there; with one it is there only if this business number
exchanged a message or call with the account's *phone number* in the last 30 days, or the account
is in the portfolio's contact book.
"""

from dataclasses import dataclass

import numpy as np

from . import business
from .profile import (
    BSUID_SEND_START,
    CONTACT_REQUEST_START,
    DAY,
    END,
    GROUPS_START,
    HIDING_START,
    HOUR,
    MINUTE,
    ROTATION_GEN2,
    VISIBILITY_WINDOW,
    Profile,
)
from .world import CHANGE, RETURN, World, poisson_times

INBOUND, OUTBOUND, ECHO, CALL_IN, CALL_OUT, PREFERENCE = range(6)
# What a send is, as its pricing says.
CATEGORIES = ("utility", "marketing", "authentication", "service")
UTILITY, MARKETING, AUTHENTICATION, SERVICE = range(4)
# What an inbound message is: text and the like, or a contact card.
PLAIN, CARD_OTHER, CARD_REQUEST = range(3)


@dataclass
class Traffic:
    """Interactions ordered by time; parallel arrays."""

    time: np.ndarray
    kind: np.ndarray  # INBOUND .. PREFERENCE
    business_number: np.ndarray  # index into business.NUMBERS
    account: np.ndarray  # who really got or sent it, or -1
    number: np.ndarray  # the phone number it went to or came from; below 0: of nobody, ever
    person: np.ndarray  # who really wrote, or was reached; -1 for nobody
    visible: np.ndarray  # bool: webhooks show the phone
    to_bsuid: np.ndarray  # bool: the business addressed the BSUID
    username: np.ndarray  # index of the lease at that time, or -1
    card: np.ndarray  # PLAIN .. CARD_REQUEST
    group: np.ndarray  # group id of an inbound group message, or -1
    category: np.ndarray  # of a send: UTILITY .. SERVICE
    live: np.ndarray  # bool: the business number is on the API; else only a later sync shows it


@dataclass
class Rotation:
    """A change of number as one portfolio may learn of it, before visibility is known."""

    time: int
    old_account: int
    new_account: int
    portfolio: int
    member_portfolio: int  # the one it was first, if its WABA was sold meanwhile
    returned: bool
    delivered: bool
    business_numbers: list[int]  # that get a copy


@dataclass
class Group:
    """A WhatsApp group of one business number."""

    created: int
    business_number: int
    accounts: list[int]
    sends: list[int]  # times of the business's messages to the group


def build(world: World, seed: int) -> tuple[Traffic, list[Rotation], list[Group]]:
    """Draw the interactions of a world."""
    profile = world.profile
    rng, shape, rotate, groups_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence([seed, 2]).spawn(4)
    )
    members = len(world.member_person)
    person, portfolio = world.member_person, world.member_portfolio
    joined, left = world.joined[person], world.left[person]
    activity = _activity(profile, rng, len(world.joined))[person] * world.member_weight
    writes = rng.random(len(world.joined))[person] >= profile.silent
    # Those who write make up for those who never do.
    rate = np.where(writes, activity * profile.messages_per_year / (1 - profile.silent), 0.0)
    notices = activity * profile.notices_per_year
    favourite, others = _business_numbers(rng, portfolio)

    # --- when ---------------------------------------------------------------------------
    extra = 0.0
    in_row, in_time = np.empty(0, np.int64), np.empty(0, np.int64)
    if profile.keepalive_days is not None:
        in_row, in_time = _keepalives(profile, rng, joined, left)
        extra = 365 / profile.keepalive_days
    # The yearly mean includes the regular messages.
    scale = max(profile.messages_per_year - extra, 0.1) / profile.messages_per_year
    row, time = poisson_times(rng, rate * scale, joined, left)
    in_row, in_time = np.concatenate([in_row, row]), np.concatenate([in_time, time])
    in_account = world.account_at(person[in_row], in_time)

    replies = rng.random(len(in_row)) < profile.reply_share
    wait = np.minimum(rng.lognormal(np.log(4 * MINUTE), 1.2, replies.sum()), 6 * HOUR)
    reply_row = in_row[replies]
    reply_time = in_time[replies] + 1 + wait.astype(np.int64)
    reply_account = in_account[replies]
    alive = reply_time < world.account_end[reply_account]
    reply_row, reply_time, reply_account = (
        reply_row[alive],
        reply_time[alive],
        reply_account[alive],
    )

    # Notices go on for a while after a customer has left: the business does not know.
    until = np.minimum(left + int(profile.stale_campaign_days * DAY), END)
    out_row, out_time = poisson_times(rng, notices, joined, until)

    # --- what the business knows of an account --------------------------------------------
    first_contact = np.full(members, np.iinfo(np.int64).max)
    np.minimum.at(first_contact, in_row, in_time)
    # Old and listed customers may be written to first; the others write themselves before
    # anybody knows their number.
    listed = (world.joined == world.start) | (rng.random(len(world.joined)) < profile.listed)
    known_first = listed[person[out_row]]
    np.minimum.at(first_contact, out_row[known_first], out_time[known_first])
    rotations = _rotations(world, rotate, first_contact, favourite)
    slots = len(business.PORTFOLIO_IDS)
    known = np.full(len(world.account_person) * slots, np.iinfo(np.int64).max)
    np.minimum.at(known, in_account * slots + portfolio[in_row], in_time)
    for change in rotations:
        if change.delivered:
            at = change.new_account * slots + change.member_portfolio
            known[at] = min(known[at], change.time)
    first = np.diff(world.account_person, prepend=-1) != 0
    known.reshape(-1, slots)[first & listed[world.account_person]] = 0
    told = (world.account_reason == CHANGE) & (rng.random(len(first)) < profile.tells_number)
    told_at = world.account_start[told] + rng.integers(0, 30 * DAY, told.sum())
    known.reshape(-1, slots)[told] = np.minimum(known.reshape(-1, slots)[told], told_at[:, None])

    out_account, out_number, keep = _targets(
        world, first, person[out_row], portfolio[out_row], out_time, known
    )
    out_row, out_time = out_row[keep], out_time[keep]
    out_account, out_number = out_account[keep], out_number[keep]

    # --- put together -----------------------------------------------------------------------
    row, time, kind, account, number = (
        np.concatenate(parts)
        for parts in zip(
            (
                in_row,
                in_time,
                np.full(len(in_row), INBOUND),
                in_account,
                world.account_number[in_account],
            ),
            (
                reply_row,
                reply_time,
                np.full(len(reply_row), OUTBOUND),
                reply_account,
                world.account_number[reply_account],
            ),
            (out_row, out_time, np.full(len(out_row), OUTBOUND), out_account, out_number),
            *_small_traffic(world, shape, rate, notices, joined, left),
            strict=True,
        )
    )
    chosen = np.where(
        shape.random(len(row)) < 0.8, favourite[row], others[row, shape.integers(0, 3, len(row))]
    )
    # A reply comes from the number that was written to.
    chosen[len(in_row) : len(in_row) + len(reply_row)] = chosen[: len(in_row)][replies][alive]

    chosen = business.current(chosen, time)
    is_reply = np.zeros(len(row), bool)
    is_reply[len(in_row) : len(in_row) + len(reply_row)] = True
    typed = is_reply & business.COEXISTENCE[chosen] & (shape.random(len(row)) < profile.echo)
    kind = np.where(typed, ECHO, kind)
    luck = shape.random(len(row))
    category = np.where(
        luck < profile.marketing,
        MARKETING,
        np.where(luck < profile.marketing + profile.authentication, AUTHENTICATION, UTILITY),
    )
    category[is_reply] = SERVICE

    who = np.where(account >= 0, world.account_person[account], -1)
    who = _guest_writes(world, shape, who, kind)
    missing = _never_reached(world, shape, len(row))
    groups, group_traffic = _groups(world, groups_rng)
    time, kind, chosen, account, number, who, group, category = (
        np.concatenate(parts)
        for parts in zip(
            (time, kind, chosen, account, number, who, np.full(len(time), -1), category),
            missing,
            group_traffic,
            strict=True,
        )
    )
    inside = (time >= world.start) & (time < END - MINUTE)
    inside &= ~business.between_portfolios(chosen, time)
    order = np.flatnonzero(inside)[np.lexsort((kind[inside], time[inside]))]
    time, kind, chosen, account, number, who, group, category = (
        values[order].astype(np.int64)
        for values in (time, kind, chosen, account, number, who, group, category)
    )
    owner = np.where(account >= 0, world.account_person[account], -1)
    username = np.where(account >= 0, world.username_at(owner, time), -1)
    card = np.full(len(time), PLAIN)
    cards = (kind == INBOUND) & (shape.random(len(time)) < profile.contact_card)
    card[cards] = CARD_OTHER
    traffic = Traffic(
        time,
        kind,
        chosen,
        account,
        number,
        who,
        np.ones(len(time), bool),
        np.zeros(len(time), bool),
        username,
        card,
        group,
        category,
        business.live(profile, chosen, time),
    )
    _show_and_hide(world, traffic, rotations, shape.random((len(time), 2)))
    return traffic, rotations, groups


def _activity(profile: Profile, rng: np.random.Generator, persons: int) -> np.ndarray:
    """How busy a person is, to be multiplied with a rate: log-normal with mean 1."""
    sigma = profile.messages_sigma
    return rng.lognormal(-(sigma**2) / 2, sigma, persons)


def _keepalives(
    profile: Profile, rng: np.random.Generator, joined: np.ndarray, left: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inbound messages at about regular intervals: no silence is longer than 1.2 intervals."""
    step = profile.keepalive_days * DAY
    count = ((left - joined) // step).astype(np.int64) + 1
    row = np.repeat(np.arange(len(joined)), count)
    turn = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    time = joined[row] + ((turn + 0.2 * rng.random(len(row))) * step).astype(np.int64)
    inside = time < left[row]
    return row[inside], time[inside]


def _business_numbers(
    rng: np.random.Generator, portfolio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per membership the business number it mostly talks to, and three others to draw from.

    All are numbers as they are at first.
    """
    favourite = np.empty(len(portfolio), np.int64)
    others = np.empty((len(portfolio), 3), np.int64)
    for code in range(len(business.PORTFOLIO_IDS)):
        here = np.flatnonzero(portfolio == code)
        choices = np.flatnonzero((business.NUMBER_PORTFOLIO == code) & (business.SINCE == 0))
        favourite[here] = rng.choice(choices, len(here))
        others[here] = rng.choice(choices, (len(here), 3))
    return favourite, others


def _rotations(
    world: World, rng: np.random.Generator, first_contact: np.ndarray, favourite: np.ndarray
) -> list[Rotation]:
    """Changes of number towards every portfolio that has exchanged a message before."""
    profile = world.profile
    changed = np.flatnonzero((world.account_reason == CHANGE) | (world.account_reason == RETURN))
    by_person: dict[int, list[int]] = {}
    wanted = set(world.account_person[changed].tolist())
    for row, person in enumerate(world.member_person.tolist()):
        if person in wanted:
            by_person.setdefault(person, []).append(row)
    found = []
    for account in changed.tolist():
        time = int(world.account_start[account])
        for row in by_person.get(int(world.account_person[account]), ()):
            luck = rng.random(1 + len(business.NUMBERS)).tolist()
            if first_contact[row] >= time:
                continue
            mostly = int(business.current(favourite[row], time))
            portfolio = int(business.NUMBER_PORTFOLIO[mostly])
            copies = [
                i
                for i, number in enumerate(business.NUMBERS)
                if number.portfolio == portfolio
                and number.since <= time < number.until
                and business.live(profile, i, time)
            ]
            # At least one, though the number it mostly talks to is not on the API yet.
            copies = [
                i for i in copies if i == mostly or luck[1 + i] < profile.rotation_copies
            ] or copies[:1]
            found.append(
                Rotation(
                    time,
                    account - 1,
                    account,
                    portfolio,
                    int(world.member_portfolio[row]),
                    bool(world.account_reason[account] == RETURN),
                    luck[0] < profile.rotation_delivered,
                    copies,
                )
            )
    found.sort(key=lambda change: (change.time, change.new_account, change.portfolio))
    return found


def _targets(
    world: World,
    first: np.ndarray,
    person: np.ndarray,
    portfolio: np.ndarray,
    time: np.ndarray,
    known: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whom a notice reaches: (account or -1, number, whether it is sent at all).

    The business writes to the newest account of the person it knows of (`known`: since when,
    per account x portfolio; `first`: first accounts of their persons). If that number is
    somebody else's by now, the other person gets the message; if nobody's, it fails.
    """
    slots = len(business.PORTFOLIO_IDS)
    shift = np.int64(1) << 33
    account = (
        np.searchsorted(
            world.account_person * shift + world.account_start, person * shift + time, side="right"
        )
        - 1
    )
    unknown = known[account * slots + portfolio] > time
    while (unknown & ~first[account]).any():
        account = np.where(unknown & ~first[account], account - 1, account)
        unknown = known[account * slots + portfolio] > time
    number = world.account_number[account]
    holder = world.holder_at(number, time)
    stale = time - world.account_end[account] > world.profile.stale_campaign_days * DAY
    return holder, number, ~unknown & ~stale


def _small_traffic(
    world: World,
    rng: np.random.Generator,
    rate: np.ndarray,
    notices: np.ndarray,
    joined: np.ndarray,
    left: np.ndarray,
) -> list[tuple[np.ndarray, ...]]:
    """Calls in both directions and marketing preferences, at times of their own."""
    profile = world.profile
    parts = []
    per_year = (
        (CALL_IN, rate * profile.calls),
        (CALL_OUT, notices * profile.calls),
        (PREFERENCE, notices * profile.preferences),
    )
    for kind, often in per_year:
        row, time = poisson_times(rng, often, joined, left)
        account = world.account_at(world.member_person[row], time)
        parts.append((row, time, np.full(len(row), kind), account, world.account_number[account]))
    return parts


def _guest_writes(
    world: World, rng: np.random.Generator, who: np.ndarray, kind: np.ndarray
) -> np.ndarray:
    """On a shared handset every third inbound message is the guest's."""
    guests = np.flatnonzero(world.guest_of >= 0)
    if not len(guests):
        return who
    guest = np.full(len(world.joined), -1)
    guest[world.guest_of[guests]] = guests
    luck = rng.random(len(who)) < 1 / 3
    writes = (kind == INBOUND) & luck & (who >= 0) & (guest[who] >= 0)
    return np.where(writes, guest[who], who)


def _never_reached(
    world: World, rng: np.random.Generator, interactions: int
) -> tuple[np.ndarray, ...]:
    """Sends to numbers of bought or mistyped lists: nobody is there, now or ever."""
    count = rng.poisson(world.profile.never_reached * interactions / 2)
    time = world.start + (rng.random(count) * (END - world.start)).astype(np.int64)
    # Below zero, one per number of the list: digits are made when written.
    lines = max(1, round(count / world.profile.never_reached_tries))
    number = -1 - rng.integers(0, lines, count)
    where = business.current(rng.choice(np.flatnonzero(business.SINCE == 0), count), time)
    none = np.full(count, -1)
    campaign = np.full(count, MARKETING)
    return time, np.full(count, OUTBOUND), where, none, number, none, none, campaign


def _groups(world: World, rng: np.random.Generator) -> tuple[list[Group], tuple[np.ndarray, ...]]:
    """Groups with three to eight participants, and what the participants write there."""
    groups: list[Group] = []
    rows: list[tuple[int, ...]] = []
    count = int(np.ceil(len(world.country) / world.profile.persons_per_group))
    for code in range(len(business.PORTFOLIO_IDS)):
        here = world.member_person[world.member_portfolio == code]
        numbers = np.flatnonzero((business.NUMBER_PORTFOLIO == code) & business.SETTLED)
        if not len(numbers):
            continue
        for _ in range(round(count * len(here) / len(world.country))):
            created = GROUPS_START + int(rng.random() * (END - 30 * DAY - GROUPS_START))
            picked = rng.choice(here, size=min(len(here), 12), replace=False)
            account = world.account_at(picked, np.full(len(picked), created))
            account = account[account >= 0][: int(rng.integers(3, 9))]
            if len(account) < 2:
                continue
            number = int(rng.choice(numbers))
            sends = np.sort(created + 60 + (rng.random(4) * (END - created - 90)).astype(int))
            groups.append(Group(created, number, account.tolist(), sends.tolist()))
            for member in account.tolist():
                for time in (created + rng.random(2) * (END - created)).astype(int).tolist():
                    if created < time < world.account_end[member]:
                        rows.append(
                            (
                                time,
                                INBOUND,
                                number,
                                member,
                                int(world.account_number[member]),
                                int(world.account_person[member]),
                                len(groups) - 1,
                                SERVICE,
                            )
                        )
    table = np.array(rows, np.int64).reshape(-1, 8)
    return groups, tuple(table.T)


def _show_and_hide(
    world: World, traffic: Traffic, rotations: list[Rotation], luck: np.ndarray
) -> None:
    """Fill `visible`, `to_bsuid` and the contact requests of `card`.

    Only accounts with a username after HIDING_START can be hidden; they are few, so their
    interactions are played one by one: what was visible decides what will be.
    """
    profile = world.profile
    slots = len(business.PORTFOLIO_IDS)
    owner = business.NUMBER_OWNER[traffic.business_number]
    line = business.NUMBER_LINE[traffic.business_number]
    bsuid_from = np.array([number.bsuid_from for number in business.NUMBERS])
    has_account = traffic.account >= 0
    pair = traffic.account * slots + owner
    late = traffic.time >= HIDING_START

    # The business can address a BSUID only after it has seen one.
    seen = has_account & (traffic.time >= bsuid_from[traffic.business_number])
    seen &= (traffic.kind == INBOUND) & traffic.live
    first_bsuid = np.full(len(world.account_person) * slots, np.iinfo(np.int64).max)
    np.minimum.at(first_bsuid, pair[seen], traffic.time[seen])
    for change in rotations:
        if change.delivered and change.time >= ROTATION_GEN2:
            at = change.new_account * slots + int(business.OWNERS[change.portfolio])
            first_bsuid[at] = min(first_bsuid[at], change.time)
    outward = (traffic.kind == OUTBOUND) & has_account
    traffic.to_bsuid |= (
        outward
        & (traffic.time >= BSUID_SEND_START)
        & (luck[:, 0] < profile.bsuid_send)
        & (first_bsuid[np.maximum(pair, 0)] < traffic.time)
    )

    hideable = np.zeros(len(world.account_person), bool)
    hideable[traffic.account[has_account & late & (traffic.username >= 0)]] = True
    # Nothing older than the BSUID era matters: the window is 30 days, the book starts with it.
    rows = np.flatnonzero(
        has_account & hideable[traffic.account] & (traffic.time >= min(bsuid_from))
    )
    rows = rows[np.argsort(traffic.account[rows], kind="stable")]
    books = business.contact_book(profile)
    older = hideable & (world.account_start < min(bsuid_from))
    window: dict[tuple[int, int], int] = {}  # (account, line): last phone contact
    book: dict[int, int] = {}  # account x owner: entry since
    phone_known: set[int] = set()
    columns = (
        rows,
        traffic.time[rows],
        traffic.kind[rows],
        traffic.account[rows],
        line[rows],
        owner[rows],
        pair[rows],
        traffic.username[rows],
        luck[rows, 0],
        luck[rows, 1],
    )
    for i, now, kind, account, where, place, key, name, u, v in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        opens, closes = books[place]
        in_book = key in book and now < closes
        last = window.get((account, where), 0)
        rule = name < 0 or now < HIDING_START or in_book or now - last <= VISIBILITY_WINDOW
        if kind in (INBOUND, CALL_IN, PREFERENCE):
            by_phone = rule and kind != PREFERENCE
            visible = rule
            asked = kind == INBOUND and not rule and traffic.group[i] < 0
            if asked and now >= CONTACT_REQUEST_START and v < profile.contact_request:
                traffic.card[i] = CARD_REQUEST
                phone_known.add(key)
                if opens <= now < closes:
                    book.setdefault(key, now)
        else:
            # Accounts from before the BSUID era are in the business's books by their phone.
            knows = key in phone_known or rule or older[account]
            # Only the API lets the business choose the BSUID although it has the phone.
            chosen = kind == OUTBOUND and u < profile.bsuid_send
            to_bsuid = now >= BSUID_SEND_START and (not knows or chosen)
            to_bsuid &= first_bsuid[key] < now
            by_phone = not to_bsuid
            if kind == OUTBOUND:
                traffic.to_bsuid[i] = to_bsuid
            visible = rule or by_phone
        traffic.visible[i] = visible
        if by_phone:
            phone_known.add(key)
            window[account, where] = now
            if opens <= now < closes:
                book.setdefault(key, now)
