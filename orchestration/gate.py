"""R12: how the customers about to be published differ from those that are, and whether that is too much.

Customers are compared through their nodes (BSUIDs and phone segments), which stay when keys move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from orchestration.settings import Settings

# The main successor of a published customer is today's customer that holds most of its nodes.
COMPARISON = """
create temp table moved_node as
select
    then_node.customer_key as former_customer_key,
    now_node.customer_key,
    now_node.portfolio_id,
    count(*) as nodes
from published.gate.customer_node as then_node
inner join warehouse.intermediate.int_customer__node as now_node
    on then_node.portfolio_id = now_node.portfolio_id
    and then_node.node_id = now_node.node_id
group by all;

create temp table successor as
select
    former_customer_key,
    portfolio_id,
    arg_max(customer_key, (nodes, customer_key)) as customer_key,
    count(*) as parts
from moved_node
group by all;

create temp table merged_customer as
select
    customer_key,
    portfolio_id,
    list(former_customer_key order by former_customer_key) as former_customer_keys
from successor
group by all
having count(*) > 1;
"""

CHANGES = """
select 'merged' as change, portfolio_id, customer_key, unnest(former_customer_keys) as former_customer_key
from merged_customer
union all
select 'split', moved_node.portfolio_id, moved_node.customer_key, moved_node.former_customer_key
from moved_node
inner join successor using (former_customer_key, portfolio_id)
where successor.parts > 1
union all
select 'rekeyed', successor.portfolio_id, successor.customer_key, successor.former_customer_key
from successor
anti join merged_customer using (customer_key, portfolio_id)
where successor.parts = 1 and successor.customer_key <> successor.former_customer_key
"""


@dataclass
class Verdict:
    """What a publish would change. Counts are of published customers and messages."""

    is_first: bool = False
    customers: int = 0
    messages: int = 0
    merged: int = 0
    split: int = 0
    rekeyed: int = 0
    moved_messages: int = 0  # to somebody else, or nobody's now
    largest_then: int = 0  # messages of the largest customer
    largest_now: int = 0
    reasons: list[str] = field(default_factory=list)  # why not to publish; empty: publish
    worst: list[tuple[str, str, str, str]] = field(default_factory=list)
    changes: list[tuple[str, str, str, str]] = field(default_factory=list)


def compare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Verdict:
    """Judge the warehouse against what is published.

    `connection` has both attached, as `warehouse` and (unless nothing is published) `published`.
    """
    databases = {
        row[0]
        for row in connection.execute("select database_name from duckdb_databases()").fetchall()
    }
    if "published" not in databases:
        return Verdict(is_first=True)
    connection.execute(COMPARISON)

    def number(sql: str) -> int:
        return connection.execute(sql).fetchone()[0] or 0

    largest = "select max(n) from (select count(*) as n from {} where customer_key is not null group by customer_key)"
    verdict = Verdict(
        customers=number("select count(*) from published.marts.dim_customer"),
        messages=number("select count(*) from published.marts.fct_message"),
        merged=number("select sum(len(former_customer_keys) - 1) from merged_customer"),
        split=number("select count(*) from successor where parts > 1"),
        rekeyed=number(f"select count(*) from ({CHANGES}) where change = 'rekeyed'"),
        moved_messages=number(
            """
            select count(*)
            from published.marts.fct_message as then_message
            left join warehouse.marts.fct_message as now_message
                on then_message.portfolio_id = now_message.portfolio_id
                and then_message.message_id = now_message.message_id
            left join successor
                on then_message.customer_key = successor.former_customer_key
            where then_message.customer_key is not null
                and (
                    now_message.customer_key is null
                    or now_message.customer_key is distinct from successor.customer_key
                )
            """
        ),
        largest_then=number(largest.format("published.marts.fct_message")),
        largest_now=number(largest.format("warehouse.marts.fct_message")),
        changes=connection.execute(f"{CHANGES} order by all").fetchall(),
    )
    verdict.worst = verdict.changes[:5]
    judge(verdict, settings)
    return verdict


def judge(verdict: Verdict, settings: Settings) -> None:
    """Write down every threshold that is crossed."""
    shares = (
        ("customers would merge", verdict.merged, "gate_max_merged_share"),
        ("customers would split", verdict.split, "gate_max_split_share"),
        ("customers would change their key", verdict.rekeyed, "gate_max_rekeyed_share"),
    )
    for what, count, setting in shares:
        limit = getattr(settings, setting)
        if count > settings.gate_free_customers and count > limit * verdict.customers:
            verdict.reasons.append(
                f"{count} of {verdict.customers} {what} ({setting.upper()}={limit:g})"
            )
    limit = settings.gate_max_moved_message_share
    if (
        verdict.moved_messages > limit * verdict.messages
        and verdict.moved_messages > settings.gate_free_customers
    ):
        verdict.reasons.append(
            f"{verdict.moved_messages} of {verdict.messages} messages would move to another "
            f"customer (GATE_MAX_MOVED_MESSAGE_SHARE={limit:g})"
        )
    growth = settings.gate_max_customer_growth
    # a small customer doubles in a day
    if verdict.largest_now > max(1000, growth * verdict.largest_then):
        verdict.reasons.append(
            f"the largest customer would grow from {verdict.largest_then} to "
            f"{verdict.largest_now} messages (GATE_MAX_CUSTOMER_GROWTH={growth:g})"
        )
