"""Every story of the sample comes out as its README tells it (seeds/sample/expected*.csv)."""

from __future__ import annotations

import duckdb
import pytest

from tests.build import ROOT
from tests.conftest import read_csv

SAMPLE = ROOT / "seeds" / "sample"


EXPECTATIONS = read_csv(SAMPLE / "expected.csv")
STORIES = sorted({row["story"] for row in EXPECTATIONS})


@pytest.fixture(scope="module")
def warehouse(sample_build):
    with duckdb.connect(str(sample_build.warehouse), read_only=True) as connection:
        yield connection


def customer(warehouse, kind: str, value: str, portfolio: str | None) -> tuple[str, str] | None:
    """The (customer_key, unassigned reason) behind an identifier or a message."""
    if kind == "message":
        sql = """select customer_key, unassigned_reason from marts.fct_message
            where message_id = $value and portfolio_id = coalesce($portfolio, portfolio_id)"""
    else:
        sql = """select customer_key, null from marts.dim_customer_identifier
            where identifier_type = $kind and identifier_value = $value
              and portfolio_id = coalesce($portfolio, portfolio_id)
            order by is_current desc, valid_from desc"""
    names = {"kind": kind, "value": value, "portfolio": portfolio}
    used = {name: names[name] for name in names if f"${name}" in sql}
    return warehouse.execute(sql, used).fetchone()


def attribute(warehouse, key: str | None, column: str):
    row = warehouse.execute(
        f"select {column} from marts.dim_customer where customer_key = ?", [key]
    ).fetchone()
    return row[0] if row else None


def problem(warehouse, row: dict[str, str]) -> str | None:
    """What is wrong with one expectation; None when it holds."""
    kind, value, portfolio = row["identifier_type"], row["identifier_value"], row["portfolio_id"]
    expectation, wanted = row["expectation"], row["value"]
    if expectation == "rejected":
        file, _, line = value.rpartition(":")
        found = warehouse.execute(
            "select 1 from raw.rejected_record where landing_file = ? and line_number = ?",
            [file, int(line)],
        ).fetchone()
        return None if found else "not rejected"
    if expectation == "review":
        found = warehouse.execute(
            """select kind from marts.identity_review
               where portfolio_id = ? and ? in (left_value, right_value)""",
            [portfolio, value],
        ).fetchall()
        return None if (wanted,) in found or (found and not wanted) else f"reviews: {found}"
    key, reason = customer(warehouse, kind, value, portfolio) or (None, "not there")
    if expectation == "unassigned":
        return None if key is None and reason == wanted else f"{key}, {reason}"
    if expectation == "stage":
        found = attribute(warehouse, key, "identity_stage")
        return None if found == wanted else f"stage {found}"
    if expectation == "holder_changed":
        found = attribute(warehouse, key, "holder_changed")
        return None if found is (wanted == "true") else f"holder_changed {found}"
    other_scope = portfolio if expectation == "same" else None
    other = customer(
        warehouse, row["same_customer_as_type"], row["same_customer_as_value"], other_scope
    )
    if key is None or other is None or other[0] is None:
        return f"{key} ({reason}) against {other}"
    if (key == other[0]) != (expectation == "same"):
        return f"{key} against {other[0]}"
    if wanted in ("same_enterprise", "different_enterprise"):
        enterprises = {
            attribute(warehouse, one, "enterprise_customer_key") for one in (key, other[0])
        }
        if (len(enterprises) == 1) != (wanted == "same_enterprise"):
            return f"enterprises {enterprises}"
    return None


@pytest.mark.parametrize("story", STORIES)
def test_story(warehouse, story):
    problems = [
        (row["identifier_value"], row["expectation"], found)
        for row in EXPECTATIONS
        if row["story"] == story and (found := problem(warehouse, row))
    ]
    assert not problems


def test_customers_are_exactly_those_of_the_catalogue(warehouse):
    found = set()
    for row in read_csv(SAMPLE / "expected_customers.csv"):
        key, _ = customer(
            warehouse, row["identifier_type"], row["identifier_value"], row["portfolio_id"]
        ) or (None, None)
        columns = "identity_stage, bsuid_count, phone_count, holder_changed"
        seen = warehouse.execute(
            f"select {columns} from marts.dim_customer where customer_key = ?", [key]
        ).fetchone()
        wanted = (
            row["identity_stage"],
            int(row["bsuid_count"]),
            int(row["phone_count"]),
            row["holder_changed"] == "true",
        )
        assert seen == wanted, row
        found.add(key)
    keys = warehouse.execute("select customer_key from marts.dim_customer").fetchall()
    everyone = {key for (key,) in keys}
    assert found == everyone


def test_history_is_that_of_the_catalogue(warehouse):
    columns = "valid_from valid_to bsuid parent_bsuid wa_id username identity_stage".split()
    wanted, found = {}, {}
    for row in read_csv(SAMPLE / "expected_history.csv"):
        key, _ = customer(
            warehouse, row["identifier_type"], row["identifier_value"], row["portfolio_id"]
        )
        wanted.setdefault(key, []).append(tuple(row[name] or None for name in columns))
        found[key] = warehouse.execute(
            f"select {', '.join(f'{name}::varchar' for name in columns)} "
            "from marts.dim_customer_history where customer_key = ? order by valid_from",
            [key],
        ).fetchall()
    assert found == wanted


CRM_VERDICTS = {
    "linked": "C-1002 C-1003 C-1004 C-1005 C-1006 C-1009 C-1010 C-1011 C-1015 C-1017 "
    "C-2001 C-2002 C-2003 C-2005 C-2007 C-2008",
    "phone_only": "C-1001 C-1014",
    "stale_number": "C-1007 C-1016 C-2004",
    "ambiguous": "C-1008 C-1018",
    "no_match": "C-1012 C-1013 C-2006",
}


def test_crm_contacts_get_the_verdicts_of_the_catalogue(warehouse):
    found = warehouse.execute("select verdict, crm_contact_id from marts.crm_contact_audit")
    verdicts = {(verdict, contact) for verdict, contact in found.fetchall()}
    assert verdicts == {
        (verdict, contact)
        for verdict, contacts in CRM_VERDICTS.items()
        for contact in contacts.split()
    }


def test_the_worklist_begins_with_the_window_that_closes_first(warehouse):
    first = warehouse.execute(
        """select profile_name, capture_reason from marts.phone_capture_worklist
           where portfolio_id = '100000000000001' and priority = 1"""
    ).fetchone()
    assert first == ("Kátia Melo", "window_closing")
