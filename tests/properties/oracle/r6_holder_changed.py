"""R6: a second BSUID on a phone, without succession."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .model import Node

if TYPE_CHECKING:
    from .r3_phone_claim import Claim


def r6_holder_changed(
    claims: Iterable[Claim], customer_of: Callable[[Node], str]
) -> tuple[set[str], set[tuple[str, tuple[str, ...]]]]:
    """Customers that lost a number to another customer, and the questions that raises."""
    claims = list(claims)
    lost, reviews = set(), set()
    by_phone: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_phone[claim.phone].append(claim)
        if claim.reason == "other_phone":
            pair = (claim.bsuid, claim.phone, claim.taken_by or "")
            reviews.add(("bsuid_two_phones", tuple(sorted(pair))))
        if claim.reason != "other_bsuid":
            continue
        # who was shown at an instant from which nobody held the number had none to lose
        if not claim.is_held and not any(
            other.is_held and other.phone == claim.phone and other.start == claim.end
            for other in claims
        ):
            continue
        loser = customer_of(("bsuid", claim.bsuid))
        if loser != customer_of(("bsuid", claim.taken_by or "")):
            lost.add(loser)
            pair = (claim.phone, claim.bsuid, claim.taken_by or "")
            reviews.add(("phone_two_bsuids", tuple(sorted(pair))))
    for phone, held in by_phone.items():
        for place, claim in enumerate(held):
            for between in held[:place]:
                came_back = any(
                    before.bsuid == claim.bsuid for before in held[: held.index(between)]
                )
                strangers = customer_of(("bsuid", between.bsuid)) != customer_of(
                    ("bsuid", claim.bsuid)
                )
                if came_back and strangers and claim.opened.direction == "inbound":
                    pair = (phone, claim.bsuid, between.bsuid)
                    reviews.add(("flapping_phone", tuple(sorted(pair))))
    return lost, reviews
