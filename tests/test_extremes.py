"""What no business has, and a webhook can claim: everything is published, and nobody is set aside.

MANY sets how much of each; `make test-deep` does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from tests.command import new_folder, orchestration, published
from tests.properties import wire

pytestmark = pytest.mark.skipif("MANY" not in os.environ, reason="make test-deep runs it")
MANY = int(os.environ.get("MANY", "0"))
START = datetime(2026, 5, 1, tzinfo=UTC)
CROWD = "5511900000001"  # a phone that many BSUIDs show
MOVER = "BR.7777"  # a BSUID that shows many phones


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def phone(number: int) -> str:
    return f"55119{80000000 + number}"


def one_phone_of_many() -> Iterator[wire.Record]:
    for n in range(MANY):
        yield wire.message(at(n), bsuid=f"BR.1{n:06}", phone=CROWD, name=f"Name {n}", waba="1")


def many_phones_of_one() -> Iterator[wire.Record]:
    for n in range(MANY):
        yield wire.message(at(n), bsuid=MOVER, phone=phone(n), name="Ana Souza", waba="2")


def a_chain() -> Iterator[wire.Record]:
    """A person who changes BSUID again and again, so that each is the successor of the one before."""
    for n in range(MANY):
        yield wire.message(at(60 * n), bsuid=f"BR.2{n:06}", phone=phone(n), name="Bia", waba="3")
        yield wire.rotation(
            at(60 * n + 30),
            f"BR.2{n:06}",
            f"BR.2{n + 1:06}",
            old_phone=phone(n),
            new_phone=phone(n + 1),
            waba="3",
        )


def a_ring() -> Iterator[wire.Record]:
    """Changes of number that lead back to where they began."""
    for n in range(MANY):
        yield wire.number_change(at(n), phone(n), phone((n + 1) % MANY), waba="4")


def one_username_of_many() -> Iterator[wire.Record]:
    for n in range(MANY):
        yield wire.message(at(60 * n), bsuid=f"BR.3{n:06}", username="ana.souza", waba="5")


def a_large_body() -> Iterator[wire.Record]:
    """One body with many messages, as a batch of Meta's may hold."""
    first, *others = (
        wire.message(at(n), bsuid=f"BR.4{n:06}", phone=phone(n), waba="6") for n in range(10 * MANY)
    )
    value = first["body"]["entry"][0]["changes"][0]["value"]
    for other in others:
        for name in ("contacts", "messages"):
            value[name] += other["body"]["entry"][0]["changes"][0]["value"][name]
    yield first


SHAPES = (
    one_phone_of_many,
    many_phones_of_one,
    a_chain,
    a_ring,
    one_username_of_many,
    a_large_body,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All of it in two runs, the second one with the later half of each shape."""
    folder = new_folder(tmp_path_factory.mktemp("extremes"))
    for half in range(2):
        with (folder / "landing" / f"{half}.jsonl").open("w") as file:
            for shape in SHAPES:
                records = list(shape())
                cut = (len(records) + 1) // 2
                for record in (records[:cut], records[cut:])[half]:
                    file.write(json.dumps(record) + "\n")
        done = orchestration(folder, "run", "--force")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rows(folder, sql: str) -> list[tuple]:
    with duckdb.connect(str(folder / "published" / "customers.duckdb"), read_only=True) as file:
        return file.execute(sql).fetchall()


def test_nobody_is_set_aside(folder):
    assert rows(folder, "from marts.identity_review where kind = 'quarantined'") == []
    assert rows(folder, "from marts.fct_message where unassigned_reason = 'quarantined'") == []


def test_nothing_is_joined_by_what_many_share(folder):
    """One phone and one username of many are no evidence that they are one person."""
    customers = dict(
        rows(folder, "select portfolio_id, count(*) from marts.dim_customer group by portfolio_id")
    )
    assert customers["waba:1"] >= MANY
    assert customers["waba:5"] == MANY
    assert customers["waba:6"] == 10 * MANY


def test_one_person_stays_one_however_often_they_change(folder):
    assert rows(
        folder, "select count(*) from marts.dim_customer where portfolio_id = 'waba:2'"
    ) == [(1,)]
    assert rows(
        folder, "select count(*) from marts.dim_customer where portfolio_id = 'waba:3'"
    ) == [(1,)]


def test_working_all_out_anew_gives_the_same(folder):
    added = published(folder)
    done = orchestration(folder, "run", "--full-refresh", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    rebuilt = published(folder)
    assert [name for name in added if added[name] != rebuilt[name]] == []
