"""Reads what the pipeline decided, in the oracle's terms, so that both can be compared."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import duckdb

from .oracle import Node, Resolution

END_OF_TIME = datetime(9999, 12, 31)


def aware(when: datetime) -> datetime | None:
    return None if when == END_OF_TIME else when.replace(tzinfo=UTC)


def node(node_id: str) -> Node:
    """`bsuid:X` or `phone:P@ISO` as the oracle writes it."""
    kind, _, rest = node_id.partition(":")
    if kind == "bsuid":
        return (kind, rest)
    phone, _, opened_at = rest.partition("@")
    return (kind, phone, datetime.fromisoformat(opened_at))


def read_resolution(connection: duckdb.DuckDBPyConnection) -> Resolution:
    """The customers, links, claims, leases, messages and reviews of a built warehouse."""

    def rows(sql: str) -> list[tuple]:
        return connection.execute(sql).fetchall()

    customers: dict[str, set[Node]] = defaultdict(set)
    portfolio_of, key_parts = {}, {}
    for key, portfolio, name, *parts in rows(
        "select customer_key, portfolio_id, node_id, key_received_at, key_event_id, key_identifier"
        " from intermediate.int_identity__resolved_node"
    ):
        customers[key].add(node(name))
        portfolio_of[key] = portfolio
        key_parts[key] = tuple(parts)
    groups: dict[str, set[str]] = defaultdict(set)
    for key, enterprise in rows(
        "select customer_key, enterprise_customer_key from intermediate.int_customer__enterprise"
    ):
        groups[enterprise].add(key)
    return Resolution(
        {key: frozenset(nodes) for key, nodes in customers.items()},
        portfolio_of,
        key_parts,
        {
            (portfolio, node(left), node(right), rule)
            for portfolio, left, right, rule in rows(
                "select portfolio_id, left_node_id, right_node_id, link_rule"
                " from marts.identity_link"
            )
        },
        sorted(
            (
                (portfolio, phone, bsuid, aware(start), aware(end), reason)
                for portfolio, phone, bsuid, start, end, reason in rows(
                    "select portfolio_id, phone, bsuid, valid_from, valid_to, close_reason"
                    " from intermediate.int_identity__claim"
                )
            ),
            key=lambda c: (*c[:4], c[4] or datetime.max.replace(tzinfo=UTC)),
        ),
        sorted(
            (
                (portfolio, username, bsuid, aware(start), aware(end))
                for portfolio, username, bsuid, start, end in rows(
                    "select portfolio_id, username, bsuid, valid_from, valid_to"
                    " from intermediate.int_identity__username_lease"
                )
            ),
            key=lambda c: (*c[:4], c[4] or datetime.max.replace(tzinfo=UTC)),
        ),
        {
            (portfolio, message): key or reason
            for portfolio, message, key, reason in rows(
                "select portfolio_id, message_id, customer_key, unassigned_reason"
                " from marts.fct_message"
            )
        },
        {
            (portfolio, kind, tuple(sorted(value for value in (left, right) if value)))
            for portfolio, kind, left, right in rows(
                "select portfolio_id, kind, left_value, right_value from marts.identity_review"
            )
        },
        {
            key
            for (key,) in rows("select customer_key from marts.dim_customer where holder_changed")
        },
        {frozenset(group) for group in groups.values()},
    )


def differences(pipeline: Resolution, oracle: Resolution) -> dict[str, tuple[set, set]]:
    """What only the pipeline says and what only the oracle says, by aspect; empty when they agree.

    Messages are compared by the nodes of their customer, and keys not at all: events that carry no id
    have another one here and there.
    """

    def by_nodes(result: Resolution) -> set:
        return {
            (*message, result.customers.get(to, to))
            for message, to in result.message_customer.items()
        }

    def undirected(result: Resolution) -> set:
        return {(p, frozenset((left, right))) for p, left, right, _ in result.links}

    def by_rule(result: Resolution) -> set:
        return {(p, frozenset((left, right)), rule) for p, left, right, rule in result.links}

    def by_customer(result: Resolution, keys: set[str]) -> set:
        return {(result.portfolio_of[key], result.customers[key]) for key in keys}

    aspects = {
        "customers": (pipeline.partition(), oracle.partition()),
        "links": (undirected(pipeline), undirected(oracle)),
        # where two rules find one edge the pipeline names the stronger, the oracle both
        "rules": (by_rule(pipeline) - by_rule(oracle), set()),
        "claims": (set(pipeline.claims), set(oracle.claims)),
        "leases": (set(pipeline.leases), set(oracle.leases)),
        "messages": (by_nodes(pipeline), by_nodes(oracle)),
        "holder_changed": (
            by_customer(pipeline, pipeline.holder_changed),
            by_customer(oracle, oracle.holder_changed),
        ),
    }
    return {
        aspect: (ours - theirs, theirs - ours)
        for aspect, (ours, theirs) in aspects.items()
        if ours != theirs
    }
