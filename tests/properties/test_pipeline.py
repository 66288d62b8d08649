"""What must hold of the pipeline on any history: it agrees with the oracle, however the webhooks arrive.

Hundreds of generated histories share one build, each in a portfolio of its own, with the same BSUIDs
and phones everywhere: so every build is also a test that portfolios do not touch each other.
PROPERTY_CASES sets how many; `make test-deep` sets more, with another seed.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import duckdb
import pytest

from tests.build import Build

from . import generator, oracle
from .pipeline import differences, read_resolution
from .wire import Record

CASES = int(os.environ.get("PROPERTY_CASES", "300"))
LINES = 5
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
MARTS = (
    "dim_customer",
    "dim_customer_identifier",
    "dim_customer_history",
    "identity_link",
    "identity_review",
    "fct_message",
    "fct_message_recipient",
    "fct_inbound_thread",
    "fct_identity_transition_daily",
    "bridge_customer_business_number",
    "bsp_readiness_daily",
    "phone_capture_worklist",
)


def received_apart(records: Sequence[Record]) -> list[Record]:
    """Shift each receipt by microseconds: receipts of different webhooks are hardly ever equal, and
    events without an id have no order of their own among equals."""
    return [
        {
            **record,
            "received_at": (
                datetime.fromisoformat(str(record["received_at"]))
                + timedelta(microseconds=place % 900_000)
            ).isoformat(),
        }
        for place, record in enumerate(records)
    ]


@pytest.fixture(scope="session")
def placed():
    cases = [
        generator.place(case, index) for index, case in enumerate(generator.sample(CASES, SEED))
    ]
    records = received_apart([record for case in cases for record in case.records])
    accounts = [row for case in cases for row in case.business_accounts]
    return records, accounts


def marts(warehouse) -> dict[str, list[tuple]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return {
            # which island a row was worked out from is nobody's business but the next run's, and where a
            # webhook was landed is nothing of the webhook's
            name: sorted(
                connection.execute(
                    "select columns(c -> c not in ('island_id', 'evidence_landing_file', 'evidence_line_number')) "
                    f"from marts.{name}"
                ).fetchall(),
                key=repr,
            )
            for name in MARTS
        }


@pytest.fixture(scope="session")
def built(placed, tmp_path_factory):
    """The histories as they were told, in one run."""
    records, accounts = placed
    build = Build(tmp_path_factory.mktemp("told"))
    build.run(records, seeds={"business_accounts": accounts})
    return build


def test_pipeline_agrees_with_the_oracle(placed, built):
    records, accounts = placed
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        decided = read_resolution(connection)
    assert differences(decided, oracle.resolve(records, accounts)) == {}


def test_it_is_published_and_nobody_is_set_aside(built):
    assert (
        built.query("select portfolio_id, problem from intermediate.int_customer__quarantine") == []
    )
    assert built.publish().exists()


def rearranged(records: Sequence[Record]) -> list[list[Record]]:
    """Shuffled, delivered twice, in other batches and over three runs."""
    dice = random.Random(SEED)
    twice = generator.duplicate(records, dice)
    return generator.split_runs(generator.permute(generator.rebatch(twice, dice), dice), dice, 3)


def test_order_repeats_and_batches_change_nothing(placed, built, tmp_path_factory):
    records, accounts = placed
    build = Build(tmp_path_factory.mktemp("rearranged"))
    mixed = [record for run in rearranged(records) for record in run]
    build.run(mixed, seeds={"business_accounts": accounts})
    assert marts(build.warehouse) == marts(built.warehouse)


def test_another_waba_of_the_portfolio_changes_nothing(placed, built, tmp_path_factory):
    """A message is one within its portfolio: the same again under another WABA is no second one."""
    records, accounts = placed
    build = Build(tmp_path_factory.mktemp("elsewhere"))
    twice = generator.deliver_elsewhere(records, accounts, random.Random(SEED))
    build.run(twice, seeds={"business_accounts": accounts})
    assert of_customers(marts(build.warehouse)) == of_customers(marts(built.warehouse))


def of_customers(tables: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    """Without the questions about accounts: which of them delivered something is their answer."""
    asked = [row for row in tables["identity_review"] if "bsuid_in_two_portfolios" not in row]
    return {**tables, "identity_review": asked}


def test_line_by_line_equals_at_once(tmp_path_factory):
    """Short histories, told one webhook a run, give every row that one run gives."""
    few = [
        case
        for case in generator.sample(3 * CASES, SEED + 1, max_events=LINES)
        if len(case.records) <= LINES
    ]
    cases = [generator.place(case, index) for index, case in enumerate(few[: CASES // 2])]
    told = [received_apart(case.records) for case in cases]
    seeds = {"business_accounts": [row for case in cases for row in case.business_accounts]}
    by_line = Build(tmp_path_factory.mktemp("by-line"))
    for line in range(LINES):
        by_line.run([records[line] for records in told if line < len(records)], seeds=seeds)
    at_once = Build(tmp_path_factory.mktemp("at-once"))
    at_once.run([record for records in told for record in records], seeds=seeds)
    assert marts(by_line.warehouse) == marts(at_once.warehouse)


def introductions(records) -> list[dict[str, object]]:
    """One webhook per business number that shows nothing else, as old as the number's first record.

    A business number seen for the first time makes a run rebuild; after these none is new.
    """
    first: dict[tuple, dict[str, object]] = {}
    for record in sorted(records, key=lambda record: record["received_at"]):
        body = record["body"]
        body = json.loads(body) if isinstance(body, str) else body
        for entry in body["entry"]:
            for change in entry["changes"]:
                metadata = change["value"].get("metadata")
                value = {"messaging_product": "whatsapp", "metadata": metadata}
                shown = {"id": entry["id"], "changes": [{"field": "messages", "value": value}]}
                introduction = {"object": body["object"], "entry": [shown]}
                first.setdefault(
                    (entry["id"], json.dumps(metadata)),
                    {"received_at": record["received_at"], "body": introduction},
                )
    return list(first.values())


def test_adding_equals_rebuilding(placed, tmp_path_factory):
    """Runs that only add what is new, late and repeated give every row that one rebuild gives."""
    records, accounts = placed
    seeds = {"business_accounts": accounts}
    known = introductions(records)
    adding = Build(tmp_path_factory.mktemp("adding"))
    adding.run(known, seeds=seeds)
    for run in rearranged(records):
        adding.run(run, seeds=seeds)
        assert adding.query("select is_rebuilt from main.complete_run") == [(False,)]
    rebuilt = Build(tmp_path_factory.mktemp("rebuilt"))
    rebuilt.run([*known, *records], seeds=seeds)
    assert marts(adding.warehouse) == marts(rebuilt.warehouse)


def test_without_evidence_nothing_is_joined(placed, tmp_path_factory):
    records, accounts = placed
    build = Build(tmp_path_factory.mktemp("stripped"))
    bare = generator.strip_evidence(records, random.Random(SEED))
    build.run(bare, seeds={"business_accounts": accounts})
    assert build.query("select count(*) from marts.identity_link") == [(0,)]


def overridden(built: Build, choose: Callable[[list], list]) -> list[dict[str, str]]:
    links = built.query(
        "select portfolio_id, left_node_id, right_node_id from marts.identity_link order by all"
    )
    from .pipeline import node

    return [
        generator.override_row(portfolio, node(left), node(right), "cannot_link")
        for portfolio, left, right in choose(links)
    ]


def test_overrides_are_exact_and_reversible(placed, built, tmp_path_factory):
    """R11: cutting links splits exactly as the oracle says; without the rows all is as before."""
    records, accounts = placed
    rows = overridden(built, lambda links: links[::3])
    build = Build(tmp_path_factory.mktemp("overridden"))
    build.run(records, seeds={"business_accounts": accounts, "identity_overrides": rows})
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        decided = read_resolution(connection)
    assert differences(decided, oracle.resolve(records, accounts, rows)) == {}
    build.dbt({"business_accounts": accounts}, {})
    assert marts(build.warehouse) == marts(built.warehouse)
