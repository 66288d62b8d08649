"""Invariant 8: what breaks an invariant is set aside with its reason, everybody else is published as otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration.explain import Unknown
from orchestration.export import export
from orchestration.person import find_person
from orchestration.settings import Settings, UserError
from tests.build import ROOT
from tests.command import copy_checkout, new_folder, orchestration, published

# Models that are made to say what they never should, of one customer of the sample each: model -> (rows, phone or BSUID).
BREAKS = {
    # two BSUIDs hold one phone at one time
    "identity/stays/int_identity__claim": "select * replace ('BR.9999' as bsuid) from final where phone = '{phone}'",
    # a node in two customers
    "identity/customers/int_identity__customer_node": (
        "select * replace (md5('another') as customer_key) from final where identifier_value = '{bsuid}'"
    ),
    # rows twice
    "customer/int_customer__history": "select * from final where bsuid = '{bsuid}'",
    "customer/int_customer__identifier": "select * from final where identifier_value = '{bsuid}'",
    "customer/int_customer__profile": "select * from final where current_bsuid = '{bsuid}'",
    "customer/int_customer__phone": "select * from final where wa_id = '{phone}'",
}
# Those whose phone nobody else ever had and of whom there is no question, so that each is an island.
PEOPLE = """
    select customer_key, current_bsuid, wa_id
    from marts.dim_customer
    where
        bsuid_count = 1
        and phone_source = 'paired'
        and not needs_review
        and wa_id in (
            select identifier_value from marts.dim_customer_identifier
            group by all having count(distinct customer_key) = 1
        )
    order by all
    limit ?
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = new_folder(tmp_path_factory.mktemp("quarantine"))
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", folder / "landing", dirs_exist_ok=True)
    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def healthy(folder):
    return published(folder)


@pytest.fixture
def checkout(tmp_path) -> Path:
    return copy_checkout(tmp_path / "checkout")


def add_rows(checkout: Path, model: str, rows: str) -> None:
    path = checkout / "dbt_project" / "models" / f"{model}.sql"
    sound, end, _ = path.read_text().rpartition("select * from final")
    assert end
    path.write_text(f"{sound}select * from final\nunion all by name\n{rows}\n")


def rows(folder: Path, sql: str, parameters: tuple = ()) -> list[tuple]:
    with duckdb.connect(str(folder / "published" / "customers.duckdb"), read_only=True) as file:
        return file.execute(sql, parameters).fetchall()


def break_models(folder: Path, checkout: Path) -> list[tuple]:
    """Break each model for a customer of its own; returns (customer_key, BSUID, phone) of each, as BREAKS has them."""
    people = rows(folder, PEOPLE, (len(BREAKS),))
    for (model, broken), (_, bsuid, phone) in zip(BREAKS.items(), people, strict=True):
        add_rows(checkout, model, broken.format(bsuid=bsuid, phone=phone))
    return people


def test_too_much_to_set_aside_stops_the_run(folder, healthy, checkout):
    add_rows(checkout, "customer/int_customer__history", "select * from final")
    done = orchestration(folder, "run", root=checkout)
    assert done.returncode == 1
    assert "assert_few_are_set_aside" in done.stderr and "'set_aside': '85'" in done.stderr
    assert published(folder) == healthy


def test_what_breaks_an_invariant_is_set_aside_and_comes_back(folder, healthy, checkout):
    people = break_models(folder, checkout)
    keys = {key for key, *_ in people}
    done = orchestration(folder, "run", root=checkout)
    assert done.returncode == 0, done.stdout + done.stderr

    told = rows(
        folder,
        "select left_value, subject, evidence_event_id, evidence_landing_file, evidence_line_number"
        " from marts.identity_review where kind = 'quarantined'",
    )
    assert {value for value, *_ in told} == {bsuid for _, bsuid, _ in people}
    for _, subject, event, file, line in told:
        assert subject
        assert event in (folder / "landing" / file).read_text().splitlines()[line - 1]

    now = published(folder)
    for table, theirs in now.items():
        assert [row for row in theirs if keys & set(row)] == [], table
    assert set(now["dim_customer"]) == {
        row for row in healthy["dim_customer"] if row[0] not in keys
    }
    reasons = dict(rows(folder, "select message_id, unassigned_reason from marts.fct_message"))
    of_them = [row for row in healthy["fct_message"] if keys & set(row)]
    assert of_them and len(now["fct_message"]) == len(healthy["fct_message"])
    assert {reasons[message_id] for message_id, *_ in of_them} == {"quarantined"}
    assert [row for row in healthy["fct_message"] if row not in of_them] == [
        row for row in now["fct_message"] if "quarantined" not in row
    ]
    redirects = rows(
        folder,
        "select old_customer_key from marts.customer_key_redirect where reason = 'quarantined'",
    )
    assert {key for (key,) in redirects} == keys

    done = orchestration(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert published(folder) == healthy


def test_who_is_set_aside_is_told_and_forgotten_like_anybody(folder, healthy, checkout, tmp_path):
    """A person's right does not wait for an invariant."""
    settings = Settings(
        landing_dir=folder / "landing",
        warehouse_path=folder / "warehouse.duckdb",
        publish_dir=folder / "published",
        seeds_dir=folder / "seeds",
    )
    people = break_models(folder, checkout)
    before = [find_person(settings, key) for key, *_ in people]
    held = "select identifier_value from marts.dim_customer_identifier where customer_key = ?"
    names = [{name for (name,) in rows(folder, held, (key,))} for key, *_ in people]
    wrote = "select message_id from marts.fct_message where customer_key = ?"
    messages = [{name for (name,) in rows(folder, wrote, (key,))} for key, *_ in people]
    assert all(messages)
    done = orchestration(folder, "run", root=checkout)
    assert done.returncode == 0, done.stdout + done.stderr

    two = list(BREAKS).index("identity/customers/int_identity__customer_node")
    for place, (key, bsuid, phone) in enumerate(people):
        spellings = [] if place == two else [phone, f"+{phone[:2]} {phone[2:4]} {phone[4:]}", bsuid]
        for name in (key, *spellings):
            found = find_person(settings, name)
            assert found.is_set_aside
            assert (found.customer_key, found.bsuids) == (key, before[place].bsuids)
            assert found.phones == before[place].phones
        told = json.loads(export(settings, key, str(tmp_path / key)).read_text())
        assert told["customer"]["is_set_aside"]
        assert {one["identifier_value"] for one in told["identifiers"]} >= names[place]
        assert {one["message_id"] for one in told["messages"]} == messages[place]
        assert bsuid in json.dumps([one["item"] for one in told["received"]])
    with pytest.raises(UserError, match="leads to 2 customers"):
        find_person(settings, people[two][1])
    with pytest.raises(Unknown):
        find_person(settings, "BR.404")

    key, bsuid, phone = people[0]
    crm = folder / "seeds" / "crm_contacts.csv"  # nobody is erased whom it names
    crm.write_text(crm.read_text().splitlines(keepends=True)[0])
    secret = str(folder / "forget.key")
    done = orchestration(folder, "forget", "--yes", root=checkout, ID=phone, FORGET_KEY_FILE=secret)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [path for path in (folder / "landing").rglob("*") if path.is_file()]
    assert not [path for path in left if bsuid.encode() in path.read_bytes()]
    redirect = (
        "select customer_key, reason from marts.customer_key_redirect where old_customer_key = ?"
    )
    assert rows(folder, redirect, (key,)) == [(None, "erased")]
    now = {row[0] for row in published(folder)["dim_customer"]}
    assert now == {row[0] for row in healthy["dim_customer"]} - {key for key, *_ in people}
