"""Other spellings of a phone (section 6): tier 4, for what the business sent, never for a claim."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from .model import Observation

# Brazil's ninth digit before what was a mobile with eight, Mexico's 1, Argentina's 9
SPELLINGS = (
    (re.compile(r"55(\d{2})9?([6-9]\d{7})"), r"55\1\2"),
    (re.compile(r"521?(\d{10})"), r"52\1"),
    (re.compile(r"549?(\d{10})"), r"54\1"),
)


def match_key(phone: str) -> str:
    """What all spellings of one number share."""
    for pattern, key in SPELLINGS:
        if found := pattern.fullmatch(phone):
            return found.expand(key)
    return phone


def only_written_to(seen: Observation) -> bool:
    """Whether an observation may be of a spelling that only the business uses."""
    return seen.bsuid is None and (seen.is_echo or seen.is_failed)


def respelled(observations: Iterable[Observation]) -> list[Observation]:
    """Put the one known phone in the place of another spelling that was seen only in echoes and
    failed statuses."""
    found = list(observations)
    known = {seen.phone for seen in found if seen.phone and not only_written_to(seen)}
    with_key: dict[str, set[str]] = defaultdict(set)
    for phone in known:
        with_key[match_key(phone)].add(phone)

    def spelled(phone: str | None) -> str | None:
        same = with_key.get(match_key(phone), set()) if phone and phone not in known else set()
        return next(iter(same)) if len(same) == 1 else phone

    return [replace(seen, phone=spelled(seen.phone)) for seen in found]
