"""The business side of the simulated world: portfolios, WABAs and phone numbers."""

from dataclasses import dataclass

from .profile import BSUID_START, DAY, END, Profile, utc

NEVER = END + 10 * 365 * DAY


@dataclass(frozen=True)
class BusinessNumber:
    """One business phone number. `portfolio` is an index into PORTFOLIO_IDS."""

    portfolio: int
    waba_id: str
    phone_number_id: str
    display: str
    bsuid_from: int  # epoch seconds: BSPs passed the new fields on at different days
    coexistence: bool  # also used in the WhatsApp Business app, so that echoes come


UNMAPPED_WABA = "200000000000006"
# The last one is a WABA that the seed does not map: it is its own portfolio.
PORTFOLIO_IDS = (
    "100000000000001",
    "100000000000002",
    "100000000000003",
    f"waba:{UNMAPPED_WABA}",
)
BUSINESS_NAMES = ("Loja Aurora", "Tienda del Sur", "Northwind Travel", "")
# Portfolios 0 and 2 belong to one enterprise that Meta enrolled for parent BSUIDs.
PARENT_ENROLLED = (True, False, True, False)
DEFAULT_COUNTRIES = ("BR", "MX", "US", "")

_LAYOUT = (  # portfolio, WABA, days after BSUID_START, coexistence
    (0, "200000000000001", 0, False),
    (0, "200000000000001", 3, False),
    (0, "200000000000002", 7, True),
    (1, "200000000000003", 0, False),
    (1, "200000000000003", 14, True),
    (2, "200000000000004", 0, False),
    (2, "200000000000005", 10, False),
    (3, UNMAPPED_WABA, 5, False),
)
NUMBERS = tuple(
    BusinessNumber(
        portfolio,
        waba,
        f"3000000000000{i + 1:02d}",
        f"1555000{i + 1:04d}",
        BSUID_START + days * DAY,
        coexistence,
    )
    for i, (portfolio, waba, days, coexistence) in enumerate(_LAYOUT)
)

# Where the customers of a country are, per portfolio (rows sum to one).
COUNTRIES = ("BR", "MX", "AR", "US", "DE", "IN")
COUNTRY_WEIGHTS = (0.40, 0.20, 0.10, 0.15, 0.08, 0.07)
PORTFOLIO_WEIGHTS = (
    (0.78, 0.03, 0.17, 0.02),
    (0.03, 0.78, 0.17, 0.02),
    (0.03, 0.78, 0.17, 0.02),
    (0.10, 0.10, 0.78, 0.02),
    (0.10, 0.10, 0.78, 0.02),
    (0.10, 0.10, 0.78, 0.02),
)

_OFF = (NEVER, NEVER)
_ON = (BSUID_START, NEVER)


def contact_book(profile: Profile) -> tuple[tuple[int, int], ...]:
    """Per portfolio, the interval `[from, to)` in which its contact book is on."""
    if profile.contact_book == "on":
        return (_ON,) * len(PORTFOLIO_IDS)
    if profile.contact_book == "off":
        return (_OFF,) * len(PORTFOLIO_IDS)
    if profile.contact_book == "mixed":
        return (_ON, (BSUID_START, utc(2026, 9, 15)), _OFF, _ON)
    raise ValueError(f"contact_book must be on, off or mixed, not {profile.contact_book!r}")
