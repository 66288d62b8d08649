"""R12: how the customers about to be published differ from those that are, and whether that is too much.

Customers are compared through their nodes (BSUIDs and phone segments), which stay when keys move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from orchestration.settings import Settings

# Where the nodes of published customers are today. A customer whose portfolio was mapped anew keeps its key.
MOVED_NODES = """
create temp table former_customer as
select customer_key from published.marts.dim_customer;

create temp table moved_node as
select
    then_node.customer_key as former_customer_key,
    now_node.customer_key,
    now_node.portfolio_id,
    count(*) as nodes
from published.gate.customer_node as then_node
inner join warehouse.intermediate.int_identity__resolved_node as now_node
    on then_node.portfolio_id = now_node.portfolio_id
    and then_node.node_id = now_node.node_id
group by all;

insert into moved_node
select former_customer.customer_key, now_customer.customer_key, now_customer.portfolio_id, 1
from former_customer
inner join warehouse.marts.dim_customer as now_customer using (customer_key)
anti join moved_node on former_customer.customer_key = moved_node.former_customer_key;
"""

# Without a published file, as far as keys tell: where those of the last publish lead today. A split shows as customers
# that appear.
MOVED_KEYS = """
create temp table former_customer as
select customer_key from former_published_key
where last_publish_id = (select max(last_publish_id) from former_published_key);

create temp table moved_node as
select
    former_customer.customer_key as former_customer_key,
    now_customer.customer_key,
    now_customer.portfolio_id,
    1 as nodes
from former_customer
left join warehouse.marts.customer_key_redirect as redirect
    on former_customer.customer_key = redirect.old_customer_key
inner join warehouse.marts.dim_customer as now_customer
    on now_customer.customer_key = coalesce(redirect.customer_key, former_customer.customer_key);
"""

# The main successor of a published customer is today's customer that holds most of its nodes.
SUCCESSORS = """
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
union all
select 'vanished', null, null, former_customer.customer_key
from former_customer
anti join successor on former_customer.customer_key = successor.former_customer_key
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
    remade: int = 0  # of these, whose key was made before the WhatsApp account was part of it
    vanished: int = 0  # no identifier of theirs leads to a customer
    appeared: int = 0  # reported only: new customers are what a business hopes for
    moved_messages: int = 0  # to somebody else, or nobody's now
    largest_then: int = 0  # messages of the largest customer
    largest_now: int = 0
    reasons: list[str] = field(default_factory=list)  # why not to publish; empty: publish
    examples: list[tuple[str, str]] = field(default_factory=list)  # change, customer key


def compare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Verdict:
    """Judge the warehouse against what is published, or against the ledger when the published file is lost.

    `connection` has both attached, as `warehouse` and (unless there is none) `published`, and the ledger in
    temporary tables (`read_ledger`).
    """

    def number(sql: str) -> int:
        return connection.execute(sql).fetchone()[0] or 0

    has_published = number(
        "select count(*) from duckdb_databases() where database_name = 'published'"
    )
    if not has_published and not number("select count(*) from former_published_key"):
        return Verdict(is_first=True)
    connection.execute(MOVED_NODES if has_published else MOVED_KEYS)
    connection.execute(SUCCESSORS)
    counts = dict(
        connection.execute(f"select change, count(*) from ({CHANGES}) group by change").fetchall()
    )
    largest_now = number(LARGEST.format("warehouse.marts.fct_message"))
    if has_published:
        messages = number("select count(*) from published.marts.fct_message")
        moved_messages = number(MOVED_MESSAGES)
        largest_then = number(LARGEST.format("published.marts.fct_message"))
    else:
        last = connection.execute(
            """
            select message_count, assigned_message_count, largest_customer_message_count
            from former_publication order by publish_id desc limit 1
            """
        ).fetchone()
        # a ledger of version 0.1 does not know
        messages, assigned, largest_then = last or (0, 0, largest_now)
        assigned_now = number(
            "select count(*) from warehouse.marts.fct_message"
            " where customer_key is not null or unassigned_reason = 'quarantined'"
        )
        moved_messages = max(0, assigned - assigned_now)
    verdict = Verdict(
        customers=number("select count(*) from former_customer"),
        messages=messages,
        merged=number("select sum(len(former_customer_keys) - 1) from merged_customer"),
        split=number("select count(*) from successor where parts > 1"),
        rekeyed=counts.get("rekeyed", 0),
        remade=number(REMADE.format(CHANGES)),
        vanished=counts.get("vanished", 0),
        appeared=number(
            "select count(*) from warehouse.marts.dim_customer anti join moved_node using (customer_key)"
        ),
        moved_messages=moved_messages,
        largest_then=largest_then,
        largest_now=largest_now,
        examples=connection.execute(
            f"select change, coalesce(customer_key, former_customer_key) from ({CHANGES}) order by all limit 5"
        ).fetchall(),
    )
    judge(verdict, settings)
    return verdict


LARGEST = """
select max(message_count)
from (select count(*) as message_count from {} where customer_key is not null group by customer_key)
"""

REMADE = """
select count(*)
from ({}) as changed
inner join former_published_key as known on changed.former_customer_key = known.customer_key
where changed.change = 'rekeyed' and known.waba_id is null
"""

# What is set aside has a threshold of its own: quarantine_max_share in dbt_project.yml.
MOVED_MESSAGES = """
select count(*)
from published.marts.fct_message as then_message
left join warehouse.marts.fct_message as now_message
    on then_message.portfolio_id = now_message.portfolio_id
    and then_message.message_id = now_message.message_id
left join successor
    on then_message.customer_key = successor.former_customer_key
where then_message.customer_key is not null
    and now_message.unassigned_reason is distinct from 'quarantined'
    and (
        now_message.customer_key is null
        or now_message.customer_key is distinct from successor.customer_key
    )
"""


def judge(verdict: Verdict, settings: Settings) -> None:
    """Write down every threshold that is crossed."""
    shares = (
        ("customers would merge", verdict.merged, "gate_max_merged_share"),
        ("customers would split", verdict.split, "gate_max_split_share"),
        ("customers would change their key", verdict.rekeyed, "gate_max_rekeyed_share"),
        ("customers would vanish", verdict.vanished, "gate_max_vanished_share"),
    )
    for what, count, setting in shares:
        limit = getattr(settings, setting)
        if count > settings.gate_free_customers and count > limit * verdict.customers:
            verdict.reasons.append(
                f"{count} of {verdict.customers} {what} ({setting.upper()}={limit:g})"
            )
            if what.endswith("key") and verdict.remade:
                verdict.reasons[-1] += (
                    f", {verdict.remade} of them because an earlier version made keys otherwise: "
                    "customer_key_redirect will lead from each to the new one"
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
