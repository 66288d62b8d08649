"""Phone numbers of the simulated countries, with the wa_id quirks of Brazil, Mexico, Argentina.

A number is an index into a country's number space; the same index always gives the same digits,
and two indexes never give the same ones. Digits are E.164 without `+`, as in `wa_id`.
"""

import numpy as np

# Coprime with the sizes below: an index is spread over the space without repeats.
_STEP = 15_485_863

_BR_AREAS = ("11", "21", "31", "41", "51", "61", "71", "81", "85", "92")
_MX_AREAS = ("55", "33", "81", "56")
_US_AREAS = ("212", "305", "415", "512", "617", "702", "773", "917")

# Share of numbers whose wa_id has the older form, per country (assumption).
OLD_FORM_SHARE = {"BR": 0.35, "MX": 0.5, "AR": 0.15}


def _spread(index: int, size: int) -> int:
    return (index * _STEP + 7_919) % size


def wa_ids(country: str, index: int, old_form: bool) -> tuple[str, str]:
    """The number's `wa_id` and its other regional form (the same where there is none)."""
    if country == "BR":
        # Mobile numbers only: eight digits from 6 to 9, with a ninth digit in newer accounts.
        area = _BR_AREAS[index % 10]
        local = str(60_000_000 + _spread(index // 10, 40_000_000))
        forms = (f"55{area}9{local}", f"55{area}{local}")
    elif country == "MX":
        area = _MX_AREAS[index % 4]
        local = str(10_000_000 + _spread(index // 4, 80_000_000))
        forms = (f"52{area}{local}", f"521{area}{local}")
    elif country == "AR":
        local = str(20_000_000 + _spread(index, 50_000_000))
        forms = (f"54911{local}", f"5411{local}")
    elif country == "US":
        area = _US_AREAS[index % 8]
        local = str(2_000_000 + _spread(index // 8, 7_900_000))
        forms = (f"1{area}{local}",) * 2
    elif country == "DE":
        forms = (f"49151{10_000_000 + _spread(index, 80_000_000)}",) * 2
    elif country == "IN":
        forms = (f"919{100_000_000 + _spread(index, 800_000_000)}",) * 2
    else:
        raise ValueError(f"no numbering plan for {country!r}")
    return (forms[1], forms[0]) if old_form else forms


def old_forms(rng: np.random.Generator, country: str, count: int) -> np.ndarray:
    """Which of `count` numbers have the older form (bool array)."""
    return rng.random(count) < OLD_FORM_SHARE.get(country, 0.0)
