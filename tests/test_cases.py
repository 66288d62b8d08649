"""Every case of tests/cases comes out as its expected.yml tells it: at once, in runs that add, delivered twice."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import yaml

from tests.build import ROOT, Build
from tests.conftest import read_csv
from tests.properties.oracle import Resolution, resolve

FOLDER = ROOT / "tests" / "cases"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
RUNS = 3
LOOKS_ACROSS = {
    "bsuid_in_two_portfolios"
}  # a question of the mapping, which the oracle does not ask
SETS = {"bsuid": "bsuids", "phone": "phones", "username": "usernames"}

Json = dict[str, Any]


@cache
def lines(case: str) -> list[Json]:
    """The webhooks of a case, in the order of its files."""
    found = []
    for path in sorted((FOLDER / case / "landing").iterdir()):
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        found += [json.loads(line) for line in text.splitlines()]
    return found


@cache
def seeds() -> dict[str, list[dict[str, str]]]:
    """The reference data of all cases together."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for path in sorted(FOLDER.glob("*/*.csv")):
        found[path.stem] += read_csv(path)
    return found


def portfolios(case: str) -> set[str]:
    return {row["portfolio_id"] for row in read_csv(FOLDER / case / "business_accounts.csv")}


def in_runs(case: str) -> list[list[Json]]:
    """The lines of a case dealt out over runs, the first ones first."""
    found = lines(case)
    return [found[len(found) * run // RUNS : len(found) * (run + 1) // RUNS] for run in range(RUNS)]


def delivered_again(record: Json) -> Json:
    """The same webhook an hour later."""
    if "received_at" not in record:
        return record
    later = datetime.fromisoformat(record["received_at"]) + timedelta(hours=1)
    return {**record, "received_at": later.isoformat()}


@pytest.fixture(scope="module", params=["at once", "in runs", "delivered twice"])
def build(request, tmp_path_factory) -> Build:
    """All cases in one warehouse."""
    told = Build(tmp_path_factory.mktemp("cases"))
    everything = [record for case in CASES for record in lines(case)]
    if request.param == "at once":
        told.run(everything, seeds=seeds())
    elif request.param == "in runs":
        dealt = [in_runs(case) for case in CASES]
        for run in range(RUNS):
            told.run([record for case in dealt for record in case[run]], seeds=seeds())
    else:
        again = [delivered_again(record) for record in everything]
        told.run([*again[::-1], *everything[::-1]], seeds=seeds())
    return told


def test_the_readme_tells_of_every_case():
    told = (FOLDER / "README.md").read_text()
    stories = {
        case: (FOLDER / case / "expected.yml").read_text().splitlines()[0].removeprefix("# ")
        for case in CASES
    }
    assert [case for case in CASES if f"| [{case}]({case}/) | {stories[case]} |" not in told] == []


@pytest.mark.parametrize("case", CASES)
def test_case(build, case):
    found = problems(case, what_was_built(build, portfolios(case)))
    assert not found, "\n".join(found)


def test_every_check_passes(build):
    """What is right is also published: no check of the marts refuses a case."""
    build.dbt_test()


@pytest.mark.parametrize("case", CASES)
def test_the_oracle_tells_the_case(case):
    """The expectations and the oracle, both written from the rules, say the same."""
    rows = {name: read_csv(path) for path in FOLDER.glob(f"{case}/*.csv") for name in [path.stem]}
    accounts, overrides = rows["business_accounts"], rows.get("identity_overrides", ())
    found = problems(case, what_the_oracle_says(resolve(lines(case), accounts, overrides)))
    assert not found, "\n".join(found)


# --- What is right against what was found ---------------------------------------------------------


def problems(case: str, found: Json) -> list[str]:
    """What differs from the case's expectation, in words; what is not found out is not compared."""
    expected = yaml.safe_load((FOLDER / case / "expected.yml").read_text())
    wrong = customers_that_differ(expected["customers"], found["customers"])
    for name in ("unassigned", "recipients"):
        if name in found and found[name] != expected.get(name, {}):
            wrong.append(f"{name}: {found[name]}, not {expected.get(name, {})}")
    if "reviews" in expected:
        asked = set(expected["reviews"]) - found.get("does_not_ask", set())
        if found["reviews"] != asked:
            wrong.append(f"reviews: {sorted(found['reviews'])}, not {sorted(asked)}")
    for message in expected.get("messages", ()) if "messages" in found else ():
        row = found["messages"].get((message["portfolio_id"], message["message_id"]), {})
        wrong += [
            f"{message['message_id']} has no {name}" for name in message["has"] if not row.get(name)
        ]
    return wrong


def customers_that_differ(expected: Sequence[Json], found: Sequence[Json]) -> list[str]:
    rest, wrong = list(found), []
    for customer in expected:
        wanted = {name: comparable(value) for name, value in customer.items()}
        match = next((one for one in rest if says(one, wanted)), None)
        if match is None:
            wrong.append(f"no customer {wanted}")
        else:
            rest.remove(match)
    named = {name for customer in expected for name in customer} | {"bsuids", "phones", "messages"}
    for customer in rest:
        seen = {name: value for name, value in customer.items() if name in named}
        wrong.append(f"nobody expects {seen}")
    return wrong


def says(found: Json, wanted: Json) -> bool:
    return all(found[name] == value for name, value in wanted.items() if name in found)


def comparable(value: Any) -> Any:
    """Lists as sets, moments in UTC without a zone."""
    if isinstance(value, list):
        return set(value)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def what_was_built(build: Build, portfolios: set[str]) -> Json:
    """What the marts say about some portfolios."""

    def rows(table: str) -> list[Json]:
        found = build.query_rows(
            f"from marts.{table} where portfolio_id in (select unnest(?))", [sorted(portfolios)]
        )
        return [{name: comparable(value) for name, value in row.items()} for row in found]

    customers = {row["customer_key"]: row for row in rows("dim_customer")}
    messages, held = rows("fct_message"), rows("dim_customer_identifier")
    return {
        "customers": with_sets(
            customers,
            (
                (row["customer_key"], row["identifier_type"], row["identifier_value"])
                for row in held
            ),
            ((row["customer_key"], row["message_id"]) for row in messages),
        ),
        "unassigned": {
            row["message_id"]: row["unassigned_reason"]
            for row in messages
            if not row["customer_key"]
        },
        "reviews": {row["kind"] for row in rows("identity_review")},
        "recipients": dict(Counter(row["message_id"] for row in rows("fct_message_recipient"))),
        "messages": {(row["portfolio_id"], row["message_id"]): row for row in messages},
    }


def what_the_oracle_says(result: Resolution) -> Json:
    owner = {
        (result.portfolio_of[key], node): key
        for key, nodes in result.customers.items()
        for node in nodes
    }
    held = [
        (key, "bsuid" if node[0] == "bsuid" else "phone", node[1])
        for (_, node), key in owner.items()
    ]
    for portfolio, phone, bsuid, *_ in result.claims:
        held.append((owner[portfolio, ("bsuid", bsuid)], "phone", phone))
    for portfolio, username, bsuid, *_ in result.leases:
        held.append((owner[portfolio, ("bsuid", bsuid)], "username", username))
    told = {(message, to) for (_, message), to in result.message_customer.items()}
    return {
        "customers": with_sets(
            {
                key: {"portfolio_id": portfolio, "holder_changed": key in result.holder_changed}
                for key, portfolio in result.portfolio_of.items()
            },
            held,
            ((to, message) for message, to in told if to in result.customers),
        ),
        "unassigned": {message: to for message, to in told if to not in result.customers},
        "reviews": {kind for _, kind, _ in result.reviews},
        "does_not_ask": LOOKS_ACROSS,
    }


def with_sets(
    customers: Mapping[str, Json],
    held: Iterable[tuple[str, str, str]],
    messages: Iterable[tuple[str, str]],
) -> list[Json]:
    """Customers with the sets of what they ever held and of their messages."""
    sets: dict[str, dict[str, set[str]]] = {
        key: {name: set() for name in (*SETS.values(), "messages")} for key in customers
    }
    for key, kind, value in held:
        if kind in SETS:
            sets[key][SETS[kind]].add(value)
    for key, message in messages:
        if key in sets:
            sets[key]["messages"].add(message)
    return [{**row, **sets[key]} for key, row in customers.items()]
