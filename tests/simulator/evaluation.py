"""Reads the truth of a run, lines clusterings up with it, and scores them."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .baselines import baselines
from .graph import codes
from .metrics import Scores, contingency, score
from .oracle_bound import oracle_customers


@dataclass
class Truth:
    """The messages that count: delivered, and written by or meant for a known person.

    `identifiers` is parallel to `messages`; `person` holds the code of the person in the
    portfolio per message; `groups` the codes of those who had a transition, by its name.
    """

    messages: pa.Table  # portfolio_id, message_id, person_id
    identifiers: pa.Table
    person: np.ndarray
    groups: dict[str, np.ndarray]
    evidence: pa.Table

    def line_up(self, customers: pa.Table) -> np.ndarray:
        """Customer codes parallel to `messages`, -1 for none.

        `customers` has portfolio_id, message_id and customer (string or null), one row per
        message at most; further messages in it do not count.
        """
        with duckdb.connect() as con:
            con.register("customers", customers)
            con.register(
                "messages",
                self.messages.append_column(
                    "position", pa.array(np.arange(self.messages.num_rows))
                ),
            )
            found = con.execute(
                """
                select messages.position, customers.customer::varchar as customer
                from messages
                inner join customers using (portfolio_id, message_id)
                """
            ).arrow()
            table = found.read_all() if hasattr(found, "read_all") else found
        position = table["position"].to_numpy()
        if len(np.unique(position)) != len(position):
            raise ValueError("a message has two rows in the clustering")
        out = np.full(self.messages.num_rows, -1, np.int64)
        out[position] = codes(table["customer"])
        return out


def load(folder: Path) -> Truth:
    """The truth of a run, from its `truth` folder."""
    with duckdb.connect() as con:
        joined = con.execute(
            """
            select m.portfolio_id, m.message_id, m.person_id, i.bsuid, i.phone, i.username
            from read_parquet($messages) as m
            inner join read_parquet($identifiers) as i using (portfolio_id, message_id)
            where m.delivered and m.person_id is not null
            order by m.portfolio_id, m.message_id
            """,
            {
                "messages": str(folder / "messages.parquet"),
                "identifiers": str(folder / "identifiers.parquet"),
            },
        ).arrow()
        table = joined.read_all() if hasattr(joined, "read_all") else joined
    person = codes(table["portfolio_id"], table["person_id"])
    return Truth(
        messages=table.select(["portfolio_id", "message_id", "person_id"]),
        identifiers=table.select(["message_id", "portfolio_id", "bsuid", "phone", "username"]),
        person=person,
        groups=_groups(table, person, pq.read_table(folder / "transitions.parquet")),
        evidence=pq.read_table(folder / "evidence.parquet"),
    )


def _groups(table: pa.Table, person: np.ndarray, transitions: pa.Table) -> dict[str, np.ndarray]:
    """Codes of the persons with each kind of transition; lost changes are a kind of their own.

    A transition without a portfolio concerns the person in all of them.
    """
    with duckdb.connect() as con:
        con.register("transitions", transitions)
        con.register(
            "persons",
            table.select(["portfolio_id", "person_id"]).append_column("code", pa.array(person)),
        )
        rows = con.execute(
            """
            with kinds as (
                select *, transition as kind from transitions
                union all
                select *, transition || ' (lost)' as kind from transitions where not delivered
            ),
            people as (select distinct portfolio_id, person_id, code from persons)
            select kinds.kind, list(distinct people.code) as found
            from kinds
            inner join people
                on kinds.person_id = people.person_id
                and coalesce(kinds.portfolio_id, people.portfolio_id) = people.portfolio_id
            group by kinds.kind
            order by kinds.kind
            """
        ).fetchall()
    groups = {kind: np.sort(np.array(found, np.int64)) for kind, found in rows}
    if "shared_handset" in groups:
        # two who write with one BSUID are one to any rule: how wrong is it apart from them?
        groups["no shared handset"] = np.setdiff1d(person, groups["shared_handset"])
    return groups


def evaluate(truth: Truth, systems: dict[str, np.ndarray]) -> dict[str, dict[str, Scores]]:
    """Scores per system and group of persons; the group of everybody is called "all"."""
    out = {}
    for name, customers in systems.items():
        table = contingency(truth.person, customers)
        out[name] = {"all": score(table)} | {
            kind: score(table, only) for kind, only in truth.groups.items()
        }
    return out


def references(truth: Truth) -> dict[str, np.ndarray]:
    """Customer codes of the oracle bound and of every baseline."""
    bound = oracle_customers(truth.messages, truth.identifiers, truth.evidence)
    return {"oracle bound": bound} | baselines(truth.identifiers, truth.evidence)


def pipeline_customers(truth: Truth, warehouse: Path) -> np.ndarray:
    """Customer codes as published in `marts.fct_message` of a DuckDB warehouse."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        found = con.execute(
            "select portfolio_id, message_id, customer_key as customer from marts.fct_message"
        ).arrow()
        table = found.read_all() if hasattr(found, "read_all") else found
    return truth.line_up(table)


@dataclass(frozen=True)
class Queue:
    """How good a list for people the `backfill_declined` rows of `identity_review` are."""

    customers_above_bound: float  # the pipeline's customers per person less the bound's
    declined: int  # rows
    declined_right: float  # share of the rows whose two customers hold one person
    splits_per_declined: float  # customers more than the bound has, over all persons, per row


def queue(truth: Truth, warehouse: Path, pipeline: Scores, bound: Scores) -> Queue:
    """The queue of a published DuckDB warehouse; the scores are those of everybody."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.register("truth", truth.messages.append_column("person", pa.array(truth.person)))
        declined, right = con.execute(
            """
            with held as (
                select distinct found.customer_key, truth.person
                from marts.fct_message as found
                inner join truth using (portfolio_id, message_id)
            )
            select
                count(*),
                count(*) filter (
                    where left_customer_key <> right_customer_key and exists (
                        select 1
                        from held as one
                        inner join held as other using (person)
                        where one.customer_key = left_customer_key
                            and other.customer_key = right_customer_key
                    )
                )
            from marts.identity_review
            where kind = 'backfill_declined'
            """
        ).fetchone()
    above = pipeline.customers_per_person - bound.customers_per_person
    return Queue(
        customers_above_bound=above,
        declined=declined,
        declined_right=right / declined if declined else 1.0,
        splits_per_declined=above * pipeline.persons / declined if declined else 0.0,
    )


HEADER = (
    f"{'':34}{'messages':>9} {'pair P':>7} {'pair R':>7} {'B3 P':>7} {'B3 R':>7} {'B3 F1':>7} "
    f"{'mixed':>7} {'largest':>7} {'cust/pers':>9}"
)


def format_row(name: str, scores: Scores) -> str:
    """One line of the accuracy table."""
    return (
        f"{name:34}{scores.messages:9d} {scores.pair_precision:7.5f} {scores.pair_recall:7.5f} "
        f"{scores.b3_precision:7.5f} {scores.b3_recall:7.5f} {scores.b3_f1:7.5f} "
        f"{scores.mixed_persons:7.3%} {scores.largest_customer:7d} "
        f"{scores.customers_per_person:9.4f}"
    )
