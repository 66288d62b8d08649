"""The business side of the simulated world: portfolios, WABAs and phone numbers."""

from dataclasses import dataclass

import numpy as np

from .profile import BSUID_START, DAY, END, Profile, utc

NEVER = END + 10 * 365 * DAY


@dataclass(frozen=True)
class BusinessNumber:
    """One business phone number under one WABA of one portfolio, from `since` to `until`.

    `portfolio` is an index into PORTFOLIO_IDS. A number that moves is several of these.
    """

    line: int  # the same for all stays of a phone number
    portfolio: int
    waba_id: str
    phone_number_id: str
    display: str
    bsuid_from: int  # epoch seconds: BSPs passed the new fields on at different days
    coexistence: bool  # also used in the WhatsApp Business app, so that echoes come
    since: int  # epoch seconds; 0 for ever
    until: int


UNMAPPED_WABA = "200000000000006"
LATE_WABA = "200000000000008"
# A WABA that the seed does not map, or not yet, is its own portfolio.
PORTFOLIO_IDS = (
    "100000000000001",
    "100000000000002",
    "100000000000003",
    f"waba:{UNMAPPED_WABA}",
    "100000000000004",
    f"waba:{LATE_WABA}",
)
BUSINESS_NAMES = ("Loja Aurora", "Tienda del Sur", "Northwind Travel", "", "Loja Boreal", "")
# Portfolios 0 and 2 belong to one enterprise that Meta enrolled for parent BSUIDs.
PARENT_ENROLLED = (True, False, True, False, False, False)
DEFAULT_COUNTRIES = ("BR", "MX", "US", "", "BR", "")
# Who owns it at Meta, and so issues its BSUIDs and keeps its contact book: the WABA that the seed
# maps late belongs to portfolio 1 all the time.
OWNERS = np.array((0, 1, 2, 3, 4, 1))
SHOPS = 3  # the first ones; people are customers of two of them

# Assumptions, all four: the days on which numbers move. Two numbers go to the other WABA of their
# portfolio, and one of them is in coexistence, so that its chats are synced again; a WABA is sold
# to portfolio 0, whose BSUIDs its customers get without any webhook (undocumented by Meta); the
# seed starts to map a WABA.
NUMBER_MOVED = utc(2026, 6, 10)
COEXISTENCE_MOVED = utc(2026, 7, 1)
WABA_SOLD = utc(2026, 7, 15)
WABA_MAPPED = utc(2026, 5, 20)

_LINES = (  # days after BSUID_START, coexistence, stays: portfolio, WABA, until
    (0, False, ((0, "200000000000001", NEVER),)),
    (3, False, ((0, "200000000000001", NUMBER_MOVED), (0, "200000000000002", NEVER))),
    (7, True, ((0, "200000000000002", COEXISTENCE_MOVED), (0, "200000000000001", NEVER))),
    (0, False, ((1, "200000000000003", NEVER),)),
    (14, True, ((1, "200000000000003", NEVER),)),
    (0, False, ((2, "200000000000004", NEVER),)),
    (10, False, ((2, "200000000000005", NEVER),)),
    (5, False, ((3, UNMAPPED_WABA, NEVER),)),
    (2, False, ((4, "200000000000007", WABA_SOLD), (0, "200000000000007", NEVER))),
    (1, False, ((5, LATE_WABA, WABA_MAPPED), (1, LATE_WABA, NEVER))),
)


def _numbers() -> tuple[BusinessNumber, ...]:
    found = []
    for line, (days, coexistence, stays) in enumerate(_LINES):
        since = 0
        for portfolio, waba, until in stays:
            found.append(
                BusinessNumber(
                    line,
                    portfolio,
                    waba,
                    f"3000000000000{line + 1:02d}",
                    f"1555000{line + 1:04d}",
                    BSUID_START + days * DAY,
                    coexistence,
                    since,
                    until,
                )
            )
            since = until
    return tuple(found)


NUMBERS = _numbers()
NUMBER_LINE = np.array([number.line for number in NUMBERS])
NUMBER_PORTFOLIO = np.array([number.portfolio for number in NUMBERS])
NUMBER_OWNER = OWNERS[NUMBER_PORTFOLIO]
SINCE = np.array([number.since for number in NUMBERS])
UNTIL = np.array([number.until for number in NUMBERS])
COEXISTENCE = np.array([number.coexistence for number in NUMBERS])
SETTLED = (SINCE == 0) & (UNTIL == NEVER) & ~COEXISTENCE
# The coexistence number that comes to the API within the world, `profile.coexistence_onboarded`.
ONBOARDED = int(np.flatnonzero(COEXISTENCE & (UNTIL == NEVER) & (SINCE == 0))[0])


def current(number: np.ndarray, time: np.ndarray | int) -> np.ndarray:
    """The stay of a number's line at a time; `number` is its first one, and it moves only once."""
    return np.where(time >= UNTIL[number], number + 1, number)


def live(profile: Profile, number: np.ndarray | int, time: np.ndarray | int) -> np.ndarray:
    """Whether a number is on the API yet (bool)."""
    return (np.asarray(number) != ONBOARDED) | (time >= profile.coexistence_onboarded)


def shown_under(number: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The stay under which an update of what happened at `number` comes at a time.

    Within a portfolio it is the new one; what began in one portfolio is read there, too.
    """
    now = current(number, time)
    return np.where(NUMBER_PORTFOLIO[now] == NUMBER_PORTFOLIO[number], now, number)


def between_portfolios(number: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Whether it is the day before the number changes its portfolio (bool).

    Nothing is written on it, so that it is never in doubt where a message counts.
    """
    tomorrow = current(number, time + DAY)
    return NUMBER_PORTFOLIO[tomorrow] != NUMBER_PORTFOLIO[current(number, time)]


# Where the customers of a country are, per portfolio (rows sum to one).
COUNTRIES = ("BR", "MX", "AR", "US", "DE", "IN")
COUNTRY_WEIGHTS = (0.40, 0.20, 0.10, 0.15, 0.08, 0.07)
PORTFOLIO_WEIGHTS = (
    (0.70, 0.03, 0.17, 0.02, 0.06, 0.02),
    (0.03, 0.72, 0.17, 0.02, 0.00, 0.06),
    (0.03, 0.72, 0.17, 0.02, 0.00, 0.06),
    (0.10, 0.10, 0.78, 0.02, 0.00, 0.00),
    (0.10, 0.10, 0.78, 0.02, 0.00, 0.00),
    (0.10, 0.10, 0.78, 0.02, 0.00, 0.00),
)

_OFF = (NEVER, NEVER)
_ON = (BSUID_START, NEVER)


def contact_book(profile: Profile) -> tuple[tuple[int, int], ...]:
    """Per owner, the interval `[from, to)` in which its contact book is on."""
    if profile.contact_book == "on":
        return (_ON,) * len(PORTFOLIO_IDS)
    if profile.contact_book == "off":
        return (_OFF,) * len(PORTFOLIO_IDS)
    if profile.contact_book == "mixed":
        return (_ON, (BSUID_START, utc(2026, 9, 15)), _OFF, _ON, _ON, _OFF)
    raise ValueError(f"contact_book must be on, off or mixed, not {profile.contact_book!r}")
