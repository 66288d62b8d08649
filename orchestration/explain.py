"""Why is this one customer: the identifiers, the evidence that links them, and how to cut it.

Answers come from the published file, as readers see it; `make explain` adds where the webhook of an
event lies, from the warehouse, when it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.ledger import first_line, quoted
from orchestration.settings import Settings, UserError
from orchestration.versions import published_path

RULES = {
    "R1": "seen under this identifier",
    "R2": "succession: a rotation or number change names both sides",
    "R3": "phone claim: one payload shows the BSUID with the phone",
    "R4": "username lease: worn by the BSUID",
    "R5": "backfill: the BSUID took over the phone's own history",
    "R8": "shared contact: the user attested the number",
    "R9": "parent BSUID shown",
    "R11": "override: a person decided",
}
TIERS = {1: "shown by one payload", 2: "attested by the user", 3: "declared", 4: "inferred"}


NOBODY = (
    "Nobody is known {as_whom}. Give a phone in any format, a BSUID such as "
    "BR.1000000000000023, a username, a customer key or a message id."
)


class Unknown(UserError):
    """No customer answers to this identifier."""


@dataclass(frozen=True)
class Identifier:
    """An interval in which the customer held an identifier; times are UTC."""

    kind: str
    value: str
    valid_from: datetime
    valid_to: datetime | None
    link_rule: str
    evidence_tier: int
    evidence_event_id: str
    observation_count: int


@dataclass(frozen=True)
class Link:
    """An edge between two nodes of the customer."""

    left_node_id: str
    right_node_id: str
    link_rule: str
    link_detail: str
    evidence_tier: int
    evidence_event_id: str
    linked_at: datetime

    def cannot_link(self, portfolio_id: str) -> str:
        """The row of identity_overrides.csv that would cut it."""
        ends = [side(node) for node in (self.left_node_id, self.right_node_id)]
        return ",".join([portfolio_id, *ends[0], *ends[1], "cannot_link", "", "", "", ""])


@dataclass(frozen=True)
class Explanation:
    """A customer with all that is known of why it is one."""

    customer: dict[str, object]
    nodes: list[str]
    identifiers: list[Identifier]
    links: list[Link]
    questions: list[tuple[str, str]]  # kind, suggested decision

    @property
    def weakest(self) -> Link | None:
        return max(self.links, key=lambda link: (link.evidence_tier, link.linked_at), default=None)


def side(node_id: str) -> tuple[str, str, str]:
    """A node as type, value and time, as an override names it."""
    kind, _, rest = node_id.partition(":")
    value, _, at = rest.partition("@")
    return kind, value, at.removesuffix("Z")


def open_published(settings: Settings) -> duckdb.DuckDBPyConnection:
    """The published file, read-only, with its marts found without naming their schema. Raises UserError.

    It is attached to a database in memory, never opened itself: within a process DuckDB hands out
    the file that is open already, even after a new version took its name. The connection reaches no
    other file, and no statement can change that.
    """
    path = published_path(settings)
    if not path.exists():
        raise UserError(f"Nothing is published at {path} yet: run `make run` first.")
    connection = duckdb.connect(
        config={"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory_limit}
    )
    try:
        connection.execute(f"attach {quoted(path)} as published (read_only)")
        connection.execute("use published.marts")
        connection.execute("from lookup.identifier limit 0")
        connection.execute("set enable_external_access = false; set lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise UserError(
            f"The published file {path} cannot be read, or an earlier version of this project wrote it "
            f"({first_line(error)}): publish again with `make run`."
        ) from error
    return connection


def customers_of(published: duckdb.DuckDBPyConnection, identifier: str) -> list[tuple[str, str]]:
    """The (customer_key, how it was found) an identifier leads to, today's holder first.

    Empty when nobody answers to it. Raises Unknown for a message that has no customer.
    """
    identifier = identifier.strip()
    if re.fullmatch(r"[0-9a-f]{32}", identifier):
        found = published.execute(
            """
            select customer_key, 'customer key' from marts.dim_customer where customer_key = $1
            union all
            select customer_key, 'former customer key' from marts.customer_key_redirect
            where old_customer_key = $1 and customer_key <> $1
            """,
            [identifier],
        ).fetchall()
        if found:
            return found[:1]
    named = {}
    for key, kind, begin, end in holdings(published, identifier):
        named.setdefault(key, held(kind, begin, end))
    return list(named.items()) or customers_of_message(published, identifier)


def held(kind: str, begin: datetime, end: datetime | None) -> str:
    """An interval in words."""
    until = f"{end:%Y-%m-%d}" if end else "today"
    return f"{kind} held from {begin:%Y-%m-%d} to {until}"


def holdings(
    published: duckdb.DuckDBPyConnection, identifier: str
) -> list[tuple[str, str, datetime, datetime | None]]:
    """Who held an identifier, a phone in any spelling: customer_key, type, from and to (UTC).

    Today's holder comes first, then the latest.
    """
    return published.execute(
        """
        select
            customer_key,
            identifier_type,
            valid_from,
            valid_to
        from lookup.holder(null, null, ?)
        -- a username can be made to look like a BSUID, and a number without its country like one with
        qualify preference = min(preference) over ()
        order by valid_to is null desc, valid_from desc, customer_key
        """,
        [identifier],
    ).fetchall()


def customers_of_message(
    published: duckdb.DuckDBPyConnection, message_id: str
) -> list[tuple[str, str]]:
    """As `customers_of`, for a message id."""
    found = published.execute(
        "select customer_key, unassigned_reason from marts.fct_message where message_id = ?",
        [message_id],
    ).fetchall()
    named = [(key, "message") for key, _ in found if key]
    if not found:  # the id of a webhook that is no message of anybody's, as an explanation names it
        named = published.execute(
            """
            select distinct customer_key, 'its evidence'
            from (
                select customer_key, evidence_event_id from marts.identity_link
                union all
                select customer_key, evidence_event_id from marts.dim_customer_identifier
            )
            where evidence_event_id = ?
            order by customer_key
            """,
            [message_id],
        ).fetchall()
    if found and not named:
        raise Unknown(
            f"The message {message_id} is known but has no customer: {found[0][1]} "
            "(see fct_message.unassigned_reason in the docs)."
        )
    return named


def explanation(published: duckdb.DuckDBPyConnection, customer_key: str) -> Explanation:
    """All that is known of one customer, for people and for dashboards. Raises Unknown."""
    row = published.execute(
        "select * from marts.dim_customer where customer_key = ?", [customer_key]
    )
    names = [column[0] for column in row.description]
    values = row.fetchone()
    if values is None:
        raise Unknown(f"No customer has the key {customer_key}.")
    nodes = published.execute(
        "select node_id from gate.customer_node where customer_key = ? order by node_id",
        [customer_key],
    ).fetchall()
    identifiers = published.execute(
        """
        select identifier_type, identifier_value, valid_from, valid_to,
            link_rule, evidence_tier, evidence_event_id, observation_count
        from marts.dim_customer_identifier where customer_key = ?
        order by valid_from, identifier_type, identifier_value
        """,
        [customer_key],
    ).fetchall()
    links = published.execute(
        """
        select left_node_id, right_node_id, link_rule, link_detail,
            evidence_tier, evidence_event_id, linked_at
        from marts.identity_link where customer_key = ?
        order by linked_at, left_node_id, right_node_id
        """,
        [customer_key],
    ).fetchall()
    questions = published.execute(
        """
        select kind, suggested_decision from marts.identity_review
        where ? in (left_customer_key, right_customer_key) order by all
        """,
        [customer_key],
    ).fetchall()
    return Explanation(
        dict(zip(names, values, strict=True)),
        [node for (node,) in nodes],
        [Identifier(*identifier) for identifier in identifiers],
        [Link(*link) for link in links],
        questions,
    )


def landed_at(warehouse: Path, events: list[str]) -> dict[str, str]:
    """File and line of each event, as far as the warehouse is there and free to read."""
    if not events or not warehouse.exists():
        return {}
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            rows = connection.execute(
                """
                select item_id, min(landing_file || ':' || line_number)
                from staging.stg_whatsapp__item where list_contains(?, item_id) group by item_id
                """,
                [events],
            ).fetchall()
    except duckdb.Error:
        return {}
    return dict(rows)


def explain(settings: Settings, identifier: str) -> str:
    """The answer as text. Raises Unknown when nobody answers to the identifier."""
    identifier = identifier.strip()
    with open_published(settings) as published:
        found = customers_of(published, identifier)
        known = [(explanation(published, key), how) for key, how in found]
    if not found:
        raise Unknown(NOBODY.format(as_whom=f"as {identifier!r}"))
    events = [link.evidence_event_id for one, _ in known for link in one.links]
    sources = landed_at(settings.warehouse_path, events)
    parts = []
    if len(found) > 1:
        parts.append(f"{identifier} leads to {len(found)} customers, today's holder first:\n")
    parts += [describe(one, how, sources) for one, how in known]
    return "\n".join(parts)


def moment(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}" if when else "today"


def describe(known: Explanation, how: str, sources: dict[str, str]) -> str:
    """One customer, its identifiers and why they are one; `sources` say where an event was landed."""
    customer = known.customer
    lines = [
        f"Customer {customer['customer_key']} ({how})",
        f"  {customer['profile_name'] or 'no profile name'}, {customer['identity_stage']}, "
        f"phone {customer['phone_status']}, portfolio {customer['portfolio_id']}, "
        f"{customer['inbound_message_count']} messages in, "
        f"{customer['outbound_message_count']} out",
        "",
        "  Identifiers",
    ]
    for one in known.identifiers:
        lines.append(
            f"    {one.kind:12} {one.value:24} {moment(one.valid_from)} to "
            f"{moment(one.valid_to):19}  {RULES.get(one.link_rule, one.link_rule)} "
            f"[{one.link_rule}, {TIERS[one.evidence_tier]}, {one.observation_count} sightings]"
        )
    lines += ["", "  Why they are one"]
    if not known.links:
        lines.append("    Nothing was joined: one BSUID or one stretch of phone-only history.")
    for link in known.links:
        source = sources.get(link.evidence_event_id)
        where = f", {source}" if source else ""
        lines += [
            f"    {link.left_node_id}  --  {link.right_node_id}",
            f"      {link.link_rule} {RULES.get(link.link_rule, '')} ({link.link_detail}); "
            f"tier {link.evidence_tier}, {TIERS[link.evidence_tier]}",
            f"      {moment(link.linked_at)} by {link.evidence_event_id}{where}",
        ]
    if known.weakest:
        weakest = known.weakest
        lines += [
            "",
            f"  Weakest link: {weakest.link_rule}, tier {weakest.evidence_tier}. To cut it, add this "
            "row to identity_overrides.csv (and say who, when and why):",
            f"    {weakest.cannot_link(str(customer['portfolio_id']))}",
        ]
    if known.questions:
        lines += ["", "  Open questions"]
        lines += [f"    {kind}: {decision}" for kind, decision in known.questions]
    return "\n".join(lines) + "\n"
