"""The words of the oracle: nodes, observations, parameters and the answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from .times import moment_text

Json = dict[str, Any]
Record = Mapping[str, Any]
Node = tuple[str, str] | tuple[str, str, datetime]
Order = tuple[datetime, datetime, str, str]
KeyParts = tuple[str, str, str, str]  # receipt time, event id, WABA, identifier
Where = Node | Literal["holder_uncertain"] | None


@dataclass(frozen=True)
class Variables:
    """The resolution parameters."""

    backfill_max_silence_days: int = 180
    number_rest_min_days: int = 45
    rotation_copy_window_days: int = 7
    succession_wait_days: int = 90
    contradicted_max_silence_days: int = 90
    one_word_name_max_silence_days: int = 730
    body_text_from: date = date(2026, 5, 4)
    body_text_to: date = date(2026, 8, 18)
    username_move_max_days: int = 30
    as_of: datetime | None = None

    @property
    def silence(self) -> timedelta:
        return timedelta(days=self.backfill_max_silence_days)

    @property
    def number_rest(self) -> timedelta:
        return timedelta(days=self.number_rest_min_days)

    @property
    def succession_wait(self) -> timedelta:
        return timedelta(days=self.succession_wait_days)

    @property
    def contradicted_silence(self) -> timedelta:
        return timedelta(days=self.contradicted_max_silence_days)

    @property
    def one_word_silence(self) -> timedelta:
        return timedelta(days=self.one_word_name_max_silence_days)


@dataclass(frozen=True)
class Resolution:
    """What the rules say about a set of records.

    ``links`` are ``(portfolio, left, right, rule)``, ``claims`` are
    ``(portfolio, wa_id, bsuid, from, to, close_reason)``, ``leases`` are
    ``(portfolio, username, bsuid, from, to)``, ``reviews`` are ``(portfolio, kind, identifiers)``.
    ``message_customer`` gives each ``(portfolio, message id)`` a customer key or a reason for none.
    ``key_parts`` holds what each key is the hash of; ``enterprise`` the groups of R9.
    """

    customers: dict[str, frozenset[Node]]
    portfolio_of: dict[str, str]
    key_parts: dict[str, KeyParts]
    links: set[tuple[str, Node, Node, str]]
    claims: list[tuple[str, str, str, datetime, datetime | None, str | None]]
    leases: list[tuple[str, str, str, datetime, datetime | None]]
    message_customer: dict[tuple[str, str], str]
    reviews: set[tuple[str, str, tuple[str, ...]]]
    holder_changed: set[str]
    enterprise: set[frozenset[str]]

    def partition(self) -> set[tuple[str, frozenset[Node]]]:
        """Customers as (portfolio, nodes), for comparisons that leave the keys aside."""
        return {(self.portfolio_of[key], nodes) for key, nodes in self.customers.items()}

    def only(self, *portfolios: str) -> Resolution:
        """The part that belongs to some portfolios (enterprise groups cut down to it)."""
        keys = {key for key, owner in self.portfolio_of.items() if owner in portfolios}
        groups = (group & keys for group in self.enterprise)
        return Resolution(
            {key: nodes for key, nodes in self.customers.items() if key in keys},
            {key: self.portfolio_of[key] for key in keys},
            {key: self.key_parts[key] for key in keys},
            {link for link in self.links if link[0] in portfolios},
            [claim for claim in self.claims if claim[0] in portfolios],
            [lease for lease in self.leases if lease[0] in portfolios],
            {at: to for at, to in self.message_customer.items() if at[0] in portfolios},
            {review for review in self.reviews if review[0] in portfolios},
            self.holder_changed & keys,
            {frozenset(group) for group in groups if group},
        )


@dataclass(frozen=True)
class Observation:
    """One place where identifiers were seen. ``paired_at`` is the date of its pairing."""

    event_id: str
    waba_id: str
    path: str
    received_at: datetime
    occurred_at: datetime
    evidence_at: datetime
    paired_at: datetime
    bsuid: str | None
    phone: str | None
    parent: str | None = None
    username: str | None = None
    name: str | None = None
    tier: int = 1
    direction: str = "none"
    reach: str | None = None  # inbound, reached or sent
    is_status: bool = False
    is_echo: bool = False
    is_failed: bool = False
    is_undeliverable: bool = False
    is_sync: bool = False
    is_live: bool = True
    is_message_contact: bool = False
    identity_key_hash: str | None = None
    message_id: str | None = None
    was_ignored: bool = False

    @property
    def contact_at(self) -> datetime:
        """When somebody wrote or was written to; a status counts from its message's first one."""
        return self.paired_at if self.is_status else min(self.occurred_at, self.paired_at)

    @property
    def contact_order(self) -> Order:
        return (self.contact_at, self.received_at, self.event_id, self.path)

    @property
    def order(self) -> Order:
        return (self.evidence_at, self.received_at, self.event_id, self.path)

    @property
    def pairing_order(self) -> Order:
        return (self.paired_at, self.received_at, self.event_id, self.path)

    @property
    def is_pairing(self) -> bool:
        return self.bsuid is not None and self.phone is not None

    @property
    def pair(self) -> tuple[str, str]:
        return (self.bsuid or "", self.phone or "")


class Components:
    """Connected components, by merging."""

    def __init__(self) -> None:
        self._up: dict[Any, Any] = {}

    def root(self, node: Any) -> Any:
        self._up.setdefault(node, node)
        while self._up[node] != node:
            node = self._up[node]
        return node

    def join(self, left: Any, right: Any) -> None:
        self._up[self.root(left)] = self.root(right)

    def groups(self) -> list[frozenset[Any]]:
        found: dict[Any, set[Any]] = defaultdict(set)
        for node in self._up:
            found[self.root(node)].add(node)
        return [frozenset(group) for group in found.values()]


def label(node: Node) -> str:
    """A node as text: its identifier, with the opening time for a segment."""
    return node[1] if node[0] == "bsuid" else f"{node[1]}@{moment_text(node[2])}"
