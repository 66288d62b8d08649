"""R9: customers of one enterprise, across portfolios."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Components


def r9_enterprise(
    parents: Iterable[tuple[str, str]], successions: Iterable[tuple[str, str]]
) -> set[frozenset[str]]:
    """Group customers, across portfolios, that showed an equal or succeeding parent BSUID."""
    groups = Components()
    for customer, parent in parents:
        groups.join(("customer", customer), ("parent", parent))
    for old, new in successions:
        groups.join(("parent", old), ("parent", new))
    found = (
        frozenset(name for kind, name in group if kind == "customer") for group in groups.groups()
    )
    return {group for group in found if group}
