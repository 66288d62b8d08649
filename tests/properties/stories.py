"""Stories told by hand: what the oracle makes of a few records, in few words."""

from __future__ import annotations

from . import wire
from .oracle import Resolution, resolve

P1, P2, P3 = "5511900000001", "5511900000002", "5521900000009"
A, B, C, D = "BR.1001", "BR.1002", "BR.1003", "BR.1004"
PORTFOLIO = "portfolio"
ACCOUNTS = [{"waba_id": wire.WABA, "portfolio_id": PORTFOLIO}]


def solve(*records, overrides=(), accounts=ACCOUNTS, ignored=(), variables=None) -> Resolution:
    """Resolve, and insist that neither the order of arrival nor a second delivery matters."""
    result = resolve(records, accounts, overrides, variables, ignored)
    assert resolve(records[::-1], accounts, overrides, variables, ignored) == result
    assert resolve(records * 2, accounts, overrides, variables, ignored) == result
    return result


def groups(result: Resolution) -> set[frozenset[str]]:
    """The customers as sets of identifiers, segments as phone@month-day."""
    return {
        frozenset(n[1] if n[0] == "bsuid" else f"{n[1]}@{n[2]:%m-%d}" for n in nodes)
        for nodes in result.customers.values()
    }


def customers(*sets: set[str]) -> set[frozenset[str]]:
    return {frozenset(one) for one in sets}


def rules(result: Resolution) -> list[str]:
    return sorted(rule for _, _, _, rule in result.links)


def kinds(result: Resolution) -> set[str]:
    return {kind for _, kind, _ in result.reviews}


def claims(result: Resolution) -> list[tuple]:
    """Claims as (phone, bsuid, from, to, reason) with month-days for times."""
    return [
        (phone, bsuid, f"{start:%m-%d}", f"{end:%m-%d}" if end else None, reason)
        for _, phone, bsuid, start, end, reason in result.claims
    ]


def customer_with(result: Resolution, identifier: str) -> str:
    return next(
        key for key, nodes in result.customers.items() if identifier in {node[1] for node in nodes}
    )


def of_message(result: Resolution, message_id: str) -> str:
    return result.message_customer[PORTFOLIO, message_id]
