"""Every query of the README and the docs, on the sample and on a simulated world, with its answer.

The sample's answers are written down here. The simulated world's come from the simulator's truth, from the landed files, or
from the published rows added up in plain Python.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
import shutil
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import duckdb
import orjson
import pyarrow.parquet as pq
import pytest

from orchestration.explain import side
from orchestration.ledger import copy_keys_to_warehouse
from orchestration.publish import publish
from tests.build import ROOT, Build
from tests.command import new_folder, start
from tests.conftest import read_csv
from tests.simulator.profile import BASE, with_overrides
from tests.simulator.simulate import simulate
from tests.test_texts import says

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PORTFOLIO = "100000000000001"
PERSONS = 500
TODAY = "2026-11"  # what of the sample came in since yesterday
TEXT = re.compile(r'"id":"wamid\.SIM(\d+)","timestamp":"\d+",(?="type":"text")')


def queries() -> dict[tuple[str, str], str]:
    """(page, heading or first words) -> SQL of every block."""
    found = {}
    for page in PAGES:
        heading = ""
        for part in re.finditer(r"^## (.*)$|^```sql\n([^`]*)^```$", page.read_text(), re.M):
            if part[1]:
                heading = part[1]
                continue
            comment = re.match(r"-- (.*)", part[2])
            found[page.name, comment[1] if comment else heading] = part[2]
    return found


QUERIES = queries()


# --- The worlds -----------------------------------------------------------------------------------


@dataclass
class World:
    """A published folder with its version of yesterday, and, of a simulated one, what is true."""

    folder: Path
    simulated: Path | None = None

    @property
    def published(self) -> Path:
        return self.folder / "published"

    @property
    def yesterday(self) -> Path:
        """The first of the two versions; before today's run, the only one."""
        return min((self.published / "versions").iterdir()) / "customers.duckdb"

    def answer(self, query: str) -> list[dict]:
        """The rows of a query, asked in PUBLISH_DIR."""
        for written, meant in self.names.items():
            query = query.replace(f"'{written}'", f"'{meant}'")
        with contextlib.chdir(self.published):
            return rows("customers.duckdb", query)

    @cached_property
    def tables(self) -> dict[str, list[dict]]:
        names = rows(
            self.published / "customers.duckdb",
            "select table_name from duckdb_tables() where schema_name = 'marts'",
        )
        return {
            name: rows(self.published / "customers.duckdb", f"from marts.{name}")
            for name in (row["table_name"] for row in names)
        }

    def by(self, table: str, key: str) -> dict:
        return {row[key]: row for row in self.tables[table]}

    @property
    def as_of(self) -> datetime:
        return self.tables["publication"][0]["as_of"]

    # what is true of a simulated world

    def truth(self, name: str) -> list[dict]:
        found = pq.read_table(self.simulated / "truth" / f"{name}.parquet").to_pylist()
        for row in found:
            for column, value in row.items():
                if isinstance(value, datetime):
                    row[column] = value.replace(tzinfo=None)
        return found

    @cached_property
    def said(self) -> dict[str, dict]:
        """message id -> the truth of it, of all messages of which anything arrived."""
        return {row["message_id"]: row for row in self.truth("messages") if row["delivered"]}

    @cached_property
    def persons(self) -> dict[str, set[int]]:
        """customer -> the persons whose messages they have."""
        found = defaultdict(set)
        for row in self.tables["fct_message"]:
            person = self.said[row["message_id"]]["person_id"]
            if row["customer_key"] and person is not None:
                found[row["customer_key"]].add(person)
        return found

    def persons_yesterday(self, customers: list[str]) -> set[int]:
        """The persons whose messages these customers had then."""
        found = rows(self.yesterday, "from marts.fct_message")
        return {
            self.said[row["message_id"]]["person_id"]
            for row in found
            if row["customer_key"] in customers
        }

    @cached_property
    def accounts(self) -> list[dict]:
        return self.truth("accounts")

    def holders(self, phone: str, moment: datetime) -> set[int]:
        return {
            row["person_id"]
            for row in self.accounts
            if line(row["phone"]) == line(phone) and row["valid_from"] <= moment < row["valid_to"]
        }

    @cached_property
    def mover(self) -> dict:
        """The first change of number that was told, of somebody who wrote before and after and has the number still."""
        wrote = Counter()
        for row in self.said.values():
            if row["direction"] == "inbound":
                wrote[row["portfolio_id"], row["account_id"]] += 1
        held = {row["account_id"]: row for row in self.accounts}
        return next(
            row
            for row in self.truth("transitions")
            if row["transition"] == "number_change"
            and row["delivered"]
            and row["portfolio_id"] == PORTFOLIO
            and wrote[PORTFOLIO, row["old_account_id"]] > 1
            and wrote[PORTFOLIO, row["new_account_id"]] > 1
            and held[row["new_account_id"]]["valid_to"] > self.as_of
        )

    @cached_property
    def former_holder(self) -> dict:
        """The first account in May whose number has somebody else's by now; both wrote."""
        wrote = {
            row["account_id"] for row in self.said.values() if row["portfolio_id"] == PORTFOLIO
        }
        before = {
            row["account_id"]
            for row in self.said.values()
            if row["portfolio_id"] == PORTFOLIO and row["occurred_at"] < datetime(2026, 5, 1)
        }
        return next(
            row
            for row in self.accounts
            if row["account_id"] in before
            and row["valid_to"] > datetime(2026, 6, 1)
            and any(
                line(other["phone"]) == line(row["phone"])
                and other["person_id"] != row["person_id"]
                and other["account_id"] in wrote
                for other in self.accounts
            )
        )

    @cached_property
    def known_customer(self) -> dict:
        """A username worn today by somebody whom the most business numbers know."""
        numbers = Counter(
            row["customer_key"] for row in self.tables["bridge_customer_business_number"]
        )
        return max(
            (
                row
                for row in self.tables["dim_customer"]
                if row["username"] and row["portfolio_id"] == PORTFOLIO
            ),
            key=lambda row: (numbers[row["customer_key"]], row["customer_key"]),
        )

    @cached_property
    def names(self) -> dict[str, str]:
        """What the docs name in the sample -> what stands for it in this world."""
        if not self.simulated:
            return {}
        phone = self.former_holder["phone"]
        return {
            "5521980000023": self.mover["new_phone"],
            "5511900000028": phone,
            "+55 (11) 90000-0028": f"+{phone[:2]} ({phone[2:4]}) {phone[4:]}",
            "katia_melo": self.known_customer["username"],
        }

    @cached_property
    def bodies(self) -> list[dict]:
        """Every webhook body of the landed files."""
        found = []
        for path in sorted((self.folder / "landing").rglob("*.jsonl")):
            for text in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    body = orjson.loads(text)["body"]
                    body = orjson.loads(body) if isinstance(body, str) else body
                    if body["entry"]:
                        found.append(body)
        return found

    def items(self, name: str) -> Iterator[dict]:
        """The elements of a list of the wire, standby included."""
        for body in self.bodies:
            for entry in body["entry"]:
                for change in entry["changes"]:
                    value = change["value"]
                    yield from value.get("standby", value).get(name, ())


def rows(file: Path | str, query: str) -> list[dict]:
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute(query)
        names = [column[0] for column in connection.description]
        return [dict(zip(names, row, strict=True)) for row in connection.fetchall()]


def line(phone: str | None) -> str:
    """A phone without the digit that Brazil, Mexico and Argentina may add."""
    return re.sub(
        r"^(52)1(?=\d{10}$)|^(54)9(?=\d{10}$)|^(55\d\d)9(?=\d{8}$)", r"\1\2\3", phone or ""
    )


def extract(world: World) -> World:
    """What an analyst kept of yesterday: the keys, each with a segment."""
    kept = rows(world.yesterday, "select customer_key from marts.dim_customer order by all")
    with (world.published / "yesterday.csv").open("w") as file:
        file.write("customer_key,segment\n")
        file.writelines(f"{row['customer_key']},a\n" for row in kept)
    return world


def a_day(build: Build, decided: list[dict] | None = None) -> None:
    """What is in the landing folder by now, resolved and published."""
    folder = build.folder / "seeds"
    seeds = {path.stem: read_csv(path) for path in folder.glob("*.csv")}
    settings = build.settings.model_copy(update={"publish_text": True})
    build.land()
    copy_keys_to_warehouse(settings)
    build.dbt(seeds if decided is None else seeds | {"identity_overrides": decided}, {})
    publish(settings)


def sample_of_two_days(folder: Path) -> World:
    """The sample; what came in November and the decisions of the clerks came since yesterday."""
    build = Build(new_folder(folder))
    sample = ROOT / "seeds" / "sample" / "webhooks"
    not_yet = shutil.ignore_patterns(f"{TODAY}*")
    shutil.copytree(sample, build.landing, dirs_exist_ok=True, ignore=not_yet)
    a_day(build, decided=[])
    shutil.copytree(sample, build.landing, dirs_exist_ok=True)
    a_day(build)
    return extract(World(folder))


def prepare_simulated(folder: Path) -> None:
    """Landing files up to September, with clicks on ads, and reference data, with a CRM of everybody's numbers."""
    rates = {"persons_per_group": "40", "number_change": "0.6", "history_gone": "false"}
    profile = with_overrides(BASE, rates)
    new_folder(folder)
    simulated = folder / "simulated"
    simulate(profile, PERSONS, 2.0, 3, simulated, workers=1)
    for path in (simulated / "landing").rglob("*.jsonl"):
        path.write_text("".join(map(clicked, path.open())))
    land(folder, lambda path: path.parent.name < "2026-10")
    shutil.copy(simulated / "seeds" / "business_accounts.csv", folder / "seeds")
    for name in ("identity_overrides", "ignored_identifiers"):
        path = folder / "seeds" / f"{name}.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    accounts = World(folder, simulated).accounts
    with (folder / "seeds" / "crm_contacts.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            "crm_contact_id portfolio_id phone bsuid username name phone_consent".split()
        )
        table.writerows(
            (f"C-{row['account_id']}", PORTFOLIO, f"+{row['phone']}", "", "", "", "")
            for row in accounts
        )


def decide(world: World) -> None:
    """What a clerk decides since yesterday: three declined histories are the same person's, and one that was adopted is not."""
    reviews = rows(world.yesterday, "from marts.identity_review where kind = 'backfill_declined'")
    same = [
        row["override_row"]
        for row in sorted(reviews, key=lambda row: row["override_row"])
        if len(world.persons_yesterday([row["left_customer_key"], row["right_customer_key"]])) == 1
    ]
    link, *_ = rows(
        world.yesterday, "from marts.identity_link where link_rule = 'R5' order by all limit 1"
    )
    ends = ",".join(",".join(side(link[f"{end}_node_id"])) for end in ("left", "right"))
    assert len(same) >= 3
    with (world.folder / "seeds" / "identity_overrides.csv").open("a") as file:
        for row in (*same[:3], f"{link['portfolio_id']},{ends},cannot_link,,,,"):
            file.write(f"{row}\n")


def clicked(text: str) -> str:
    """A landed line; every so many messages came from an ad."""
    if "message_echoes" in text:
        return text
    return TEXT.sub(
        lambda found: (
            found[0]
            + (f'"referral":{{"ctwa_clid":"CLICK{found[1]}"}},' if is_click(found[1]) else "")
        ),
        text,
    )


def is_click(number: str) -> bool:
    """Some runs of messages: what a message holds goes by its last digits."""
    return int(number) // 10 % 20 == 0


def land(folder: Path, wanted: Callable[[Path], bool]) -> None:
    for path in (folder / "simulated" / "landing").rglob("*.jsonl"):
        if wanted(path):
            target = folder / "landing" / path.parent.name / path.name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory) -> dict[str, World]:
    """Both worlds; today's run of the simulated one is the command's, as a user starts it."""
    sample, simulated = (tmp_path_factory.mktemp(name) / "world" for name in ("asked", "simulated"))
    prepare_simulated(simulated)
    a_day(Build(simulated))
    decide(World(simulated, simulated / "simulated"))
    land(simulated, lambda path: True)
    with start(simulated, "run", "--force", PUBLISH_TEXT="1") as running:
        asked = sample_of_two_days(sample)  # meanwhile
        told = running.communicate(timeout=300)
    assert running.returncode == 0, told
    return {"sample": asked, "simulated": extract(World(simulated, simulated / "simulated"))}


# --- The sample's answers -------------------------------------------------------------------------

ACME, CLINIC, POP_UP = PORTFOLIO, "100000000000002", "waba:200000000000009"
HELENA, OLGA = "c3278062aa5c3621aa70ee99c6ece090", "e4bf39488d2039550568f341d45c614e"
HELENA_BEFORE, OTTO = "131d729a9cbeecd754f1f51f0e188497", "a891d8e73a665a712da2b52df8b23991"

SAMPLE = {
    "whom to ask for their phone number before it disappears, and until when?": [
        ("Kátia Melo", "window_closing", "2026-11-25 13:00"),
        ("Guilherme Prado", "window_closed", "2026-10-05 10:00"),
        ("Helena Cruz", "window_closed", "2026-10-12 10:00"),
        ("Guilherme Prado", "hidden", None),
        ("Gil Tavares", "hidden", None),
    ],
    "the whole conversation with somebody, across their change of number: each message once, of one customer": [
        ("2026-05-02 10:00", "inbound", "text"),
        ("2026-08-10 10:00", "outbound", None),
        ("2026-09-09 12:05", "inbound", "text"),
    ],
    "who held this number in May? (a phone in any spelling; also bsuid, parent_bsuid and username)": [
        (
            "6f617d2d7a202c746367f1d36581f9c5",
            "5511900000028",
            "2026-04-18 10:00",
            "2026-09-20 10:00",
            "R3",
            1,
            "wamid.recycled-number.1",
        ),
    ],
    "The texts": [
        ("2026-05-02 10:00", "inbound", "Quero remarcar a viagem"),
        ("2026-09-09 12:05", "inbound", "Quero remarcar a viagem"),
    ],
    "1": [
        (ACME, 67, 10, 45, 12, 22, 3, 4.5),
        (CLINIC, 16, 0, 15, 1, 1, 0, 0.0),
        (POP_UP, 2, 0, 2, 0, 0, 0, 0.0),
    ],
    "2": [
        ("Kátia Melo", "katia_melo", "window_closing", "2026-11-25 13:00", "551140000001", False),
        (
            "Guilherme Prado",
            "gui.prado",
            "window_closed",
            "2026-10-05 10:00",
            "551140000001",
            False,
        ),
        ("Helena Cruz", "helena.cruz", "window_closed", "2026-10-12 10:00", "551140000001", False),
        (None, "zeca.amaral", "window_closed", "2026-10-16 09:00", None, False),
    ],
    "3": [
        ("2026-05-02 10:00", "inbound", "text", "5511900000023", "BR.1000000000000023"),
        ("2026-08-10 10:00", "outbound", None, "5511900000023", "BR.1000000000000023"),
        ("2026-09-09 12:05", "inbound", "text", "5521980000023", "BR.2000000000000023"),
    ],
    "4": [
        (
            "6f617d2d7a202c746367f1d36581f9c5",
            "Bruna Maia",
            "2026-04-18 10:00",
            "2026-09-20 10:00",
            "R3",
        ),
    ],
    "5": [
        (CLINIC, "Aldo Reyes", "5215500000509", "5213300000509", "2026-10-06 10:00"),
        (CLINIC, "Otto Lang", "351920000506", "351910000506", "2026-10-20 10:00"),
        (ACME, "Júlia Campos", "5511900000026", "5521980000026", "2026-10-28 09:00"),
        (ACME, "Júlia Campos", "5521980000026", "5571970000026", "2026-11-02 09:00"),
    ],
    "6": [
        ("merged", HELENA_BEFORE, HELENA, "Helena Cruz", "R11", "must_link"),
        ("merged", HELENA, HELENA, "Helena Cruz", "R11", "must_link"),
        ("split", OLGA, OTTO, "Otto Braga", None, None),
        ("split", OLGA, OLGA, "Olga Dias", None, None),
    ],
    "7": [(HELENA_BEFORE, HELENA, "merged", "Helena Cruz")],
    "8": [
        ("Acme Travel", "551140000001", 93, 8, 12.8, 5.0),
        ("Blue Door Clinic", "12125550194", 36, 2, 20.0, 20.0),
        ("Acme Travel", "551140000002", 13, 1, 5.0, 5.0),
        ("Acme Travel Americas", "12125550193", 11, 4, 373.8, 30.0),
        (None, "12125550199", 2, 0, None, None),
    ],
    "9": [("not told", 60, 96.7, 56.7), ("marketing", 1, 100.0, 0.0)],
    "10": [(ACME, 2, 2, 1)],
    "11": [
        ("C-1007", ACME, "+55 11 90000-0022", "+5521980000022", None, False),
        ("C-1016", ACME, "+55 21 98000-0026", "+5571970000026", None, False),
        ("C-2004", CLINIC, "+34 600 000 501", "+34611000501", None, False),
    ],
    "12": [("551140000001", "Acme Travel", "closing", "2026-11-25 13:00")],
    "13": [
        ("unmapped_waba", "200000000000009", None, None, None),
        ("portfolio_mapping_proposed", "200000000000009", None, ACME, None),
        (
            "possible_missed_rotation",
            "BR.1000000000000033",
            "Guilherme Prado",
            "BR.1000000000000034",
            "Guilherme Prado",
        ),
        (
            "body_text_only",
            "BR.1000000000000022",
            "Otávia Luz",
            "BR.2000000000000022",
            "Otávia Luz",
        ),
        ("flapping_phone", "MX.1000000000000505", "Lía Mora", "MX.1000000000000504", "Kiko Durán"),
        (
            "attested_phone_taken",
            "BR.1000000000000045",
            "Rita Sena",
            "BR.1000000000000044",
            "Quito Abreu",
        ),
        ("backfill_declined", "5511900000007", "Ana Lima", "BR.1000000000000007", "Bob Martins"),
        (
            "succession_fork",
            "BR.1000000000000037",
            "Nico Sales",
            "BR.1000000000000038",
            "Nico Sales",
        ),
        (
            "succession_fork",
            "BR.1000000000000037",
            "Nico Sales",
            "BR.1000000000000039",
            "Nico Sales",
        ),
        (
            "succession_cycle",
            "PT.2000000000000506",
            "Otto Lang",
            "PT.1000000000000506",
            "Otto Lang",
        ),
        (
            "phone_two_bsuids",
            "BR.1000000000000028",
            "Bruna Maia",
            "BR.1000000000000029",
            "Otávio Neri",
        ),
        (
            "phone_two_bsuids",
            "MX.1000000000000504",
            "Kiko Durán",
            "MX.1000000000000505",
            "Lía Mora",
        ),
        ("backfill_declined", "5511900000009", "Wanda Reis", "BR.1000000000000009", "Igor Sá"),
        ("bsuid_two_phones", "BR.1000000000000032", "Marta Lopes", "5511900000032", None),
        ("malformed_identifier", "br.12-34", None, None, None),
        ("malformed_identifier", "foo_bar", None, None, None),
        ("unrecognised_field", "sticker_pack_update", None, None, None),
    ],
    "14": [
        ("2025-10-01", 7, 0),
        ("2025-11-01", 5, 2),
        ("2025-12-01", 5, 1),
        ("2026-01-01", 7, 4),
        ("2026-02-01", 4, 2),
        ("2026-03-01", 4, 2),
        ("2026-04-01", 12, 7),
        ("2026-05-01", 11, 2),
        ("2026-06-01", 16, 4),
        ("2026-07-01", 13, 8),
        ("2026-08-01", 21, 9),
        ("2026-09-01", 16, 12),
        ("2026-10-01", 20, 13),
        ("2026-11-01", 9, 6),
    ],
    "15": [("wamid.group.3", "2026-09-14 11:10", 2, 2, 2, 2)],
}
# What is not the same each time, and what says the same for every row of its kind.
LEFT_OUT = {"6": {"published_at", "evidence_event_id"}, "13": {"suggested_decision"}}


def plain(value: object) -> object:
    """A value as it is written above."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value) if isinstance(value, date) else value


def key(query: tuple[str, str]) -> str:
    """A question by its number, any other query by what it says of itself."""
    page, says = query
    return says.partition(".")[0] if page == "questions.md" else says


def test_every_query_of_the_docs_is_asked_here():
    assert [key(query) for query in QUERIES if query[0] == "questions.md"] == [
        str(number) for number in range(1, 16)
    ]
    asked = {key(query) for query in QUERIES}
    assert asked == SAMPLE.keys() == SIMULATED.keys()
    for page in PAGES:  # a query outside of a block would be left out
        outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
        assert not re.search(r"^\s+(select|from|with|attach) .*;$", outside, re.M), page


@pytest.mark.parametrize("query", QUERIES, ids=key)
def test_the_sample_answers(worlds, query):
    number = key(query)
    found = worlds["sample"].answer(QUERIES[query])
    if number == "7":
        assert len(found) == 83
        assert {row["reason"] for row in found} == {"current", "merged"}
        found = [row for row in found if row["former_customer_key"] != row["customer_key"]]
    left_out = LEFT_OUT.get(number, set())
    shown = [
        tuple(plain(value) for name, value in row.items() if name not in left_out) for row in found
    ]
    assert shown == SAMPLE[number]


# --- The simulated world's ------------------------------------------------------------------------


def at_risk(world: World) -> Counter:
    return Counter(
        (row["profile_name"], row["phone_status"])
        for row in world.tables["dim_customer"]
        if row["phone_status"] in ("window_closing", "window_closed")
    )


def check_worklist(world: World, found: list[dict]) -> None:
    deadlines = [row["ask_before"] for row in found]
    assert len(found) == 5
    assert {(row["profile_name"], row["capture_reason"]) for row in found} <= at_risk(world).keys()
    open_yet = [day for day in deadlines if day >= world.as_of]
    assert deadlines[: len(open_yet)] == sorted(open_yet)


def of_mover(world: World) -> dict[str, dict]:
    """What was said with the person who changed their number, group sends aside."""
    return {
        message: row
        for message, row in world.said.items()
        if row["person_id"] == world.mover["person_id"] and row["portfolio_id"] == PORTFOLIO
    }


def check_conversation(world: World, found: list[dict]) -> None:
    """Each message once; of what was sent, WhatsApp tells when it went out, a second or two later."""
    true = sorted((row["occurred_at"], row["direction"]) for row in of_mover(world).values())
    assert len(true) > 5
    assert [row["direction"] for row in found] == [direction for _, direction in true]
    for row, (occurred_at, direction) in zip(found, true, strict=True):
        late = row["occurred_at"] - occurred_at
        assert timedelta() <= late <= timedelta(seconds=3 if direction == "outbound" else 0)


def check_conversation_with_identifiers(world: World, found: list[dict]) -> None:
    check_conversation(world, found)
    person = world.mover["person_id"]
    shown = [row for row in found if row["phone_then"]]
    assert {line(row["phone_then"]) for row in shown} >= {
        line(world.mover["old_phone"]),
        line(world.mover["new_phone"]),
    }
    for row in shown:
        assert person in world.holders(row["phone_then"], row["occurred_at"]), row


def check_texts(world: World, found: list[dict]) -> None:
    synced = (
        item
        for part in world.items("history")
        for thread in part["threads"]
        for item in thread["messages"]
    )
    told = itertools.chain(synced, world.items("messages"), world.items("message_echoes"))
    texts = {item["id"]: says(item) for item in told}
    expected = [texts[message] for message in of_mover(world) if texts.get(message)]
    assert len(expected) > 3
    assert Counter(row["message_text"] for row in found) == Counter(expected)


def check_holder(world: World, found: list[dict]) -> None:
    """The first who held the number in May, and nobody who did not."""
    assert found
    for row in found:
        (person,) = world.persons[row["customer_key"]]
        assert any(
            person in world.holders(world.former_holder["phone"], datetime(2026, 5, day))
            for day in range(1, 32)
        )
    persons = {person for row in found for person in world.persons[row["customer_key"]]}
    assert world.former_holder["person_id"] in persons


def check_customers(world: World, found: list[dict]) -> None:
    customers = world.tables["dim_customer"]
    persons = defaultdict(set)
    for row in world.said.values():
        if row["person_id"] is not None:
            persons[row["portfolio_id"]].add(row["person_id"])
    assert {row["portfolio_id"] for row in found} == persons.keys()
    for row in found:
        ours = [one for one in customers if one["portfolio_id"] == row["portfolio_id"]]
        stages = Counter(one["identity_stage"] for one in ours)
        hidden = sum(one["phone_status"] == "hidden" for one in ours)
        assert row["customers"] == len(ours)
        assert {stage: row[stage] for stage in stages} == stages
        assert row["with_username"] == sum(one["username"] is not None for one in ours)
        assert (row["hidden"], row["hidden_percent"]) == (
            hidden,
            pytest.approx(100 * hidden / len(ours), abs=0.051),
        )
        # some are two, where the evidence was lost; and hardly any are missing
        assert 0.97 < len(ours) / len(persons[row["portfolio_id"]]) < 1.3


def check_at_risk(world: World, found: list[dict]) -> None:
    """With a username that hides it, no window is open for longer than a week; who wrote can be asked."""
    assert Counter((row["profile_name"], row["phone_status"]) for row in found) == at_risk(world)
    wrote = {row["username"]: row["last_inbound_at"] for row in world.tables["dim_customer"]}
    for row in found:
        is_open = world.as_of <= row["until"] <= world.as_of + timedelta(days=7)
        assert is_open == (row["phone_status"] == "window_closing"), row
        assert is_open or row["until"] < world.as_of
        assert (row["ask_from"] is not None) == (wrote[row["username"]] is not None), row


def check_changed_numbers(world: World, found: list[dict]) -> None:
    """Every row is of one person's numbers, some not seen between them; and no change that was told is missing."""
    quarter = datetime(2026, 10, 1)
    true = [
        row
        for row in world.truth("transitions")
        if row["transition"] in ("number_change", "number_return")
    ]
    numbers = defaultdict(list)
    for row in sorted(world.accounts, key=lambda row: row["valid_from"]):
        numbers[row["person_id"]].append(line(row["phone"]))
    pairs = {pair for own in numbers.values() for pair in itertools.combinations(own, 2)}
    shown = {(line(row["former_phone"]), line(row["phone"])) for row in found}
    assert shown <= pairs
    assert all(row["changed_at"] >= quarter for row in found)
    phones = {
        (row["portfolio_id"], world.said[row["message_id"]]["account_id"])
        for row in world.truth("identifiers")
        if row["phone"]
    }
    told = {
        (line(row["old_phone"]), line(row["new_phone"]))
        for row in true
        if row["delivered"]
        and row["occurred_at"] >= quarter
        and (row["portfolio_id"], row["old_account_id"]) in phones
        and (row["portfolio_id"], row["new_account_id"]) in phones
    }
    assert len(told) > 1
    assert told <= shown


def nodes(file: Path) -> dict[str, str]:
    found = rows(
        file, "select portfolio_id || node_id as node, customer_key from gate.customer_node"
    )
    return {row["node"]: row["customer_key"] for row in found}


def moves(world: World) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """(customer of yesterday -> customers their nodes are today, and the other way round)."""
    now = nodes(world.published / "customers.duckdb")
    became, was = defaultdict(set), defaultdict(set)
    for node, former in nodes(world.yesterday).items():
        if node in now:
            became[former].add(now[node])
            was[now[node]].add(former)
    return became, was


def check_change_log(world: World, found: list[dict]) -> None:
    became, was = moves(world)
    expected = {
        ("merged", former, now)
        for now, formers in was.items()
        if len(formers) > 1
        for former in formers
    } | {
        ("split", former, now)
        for former, parts in became.items()
        if len(parts) > 1
        for now in parts
    }
    shown = [(row["change"], row["former_customer_key"], row["customer_key"]) for row in found]
    assert expected
    assert sorted(shown) == sorted(expected)
    assert all(row["link_rule"] for row in found if row["change"] == "merged")


def check_former_keys(world: World, found: list[dict]) -> None:
    became, _ = moves(world)
    kept = read_csv(world.published / "yesterday.csv")
    assert [row["former_customer_key"] for row in found] == [row["customer_key"] for row in kept]
    for row in found:
        assert row["customer_key"] in became[row["former_customer_key"]], row
        assert (row["reason"] == "current") == (row["former_customer_key"] == row["customer_key"])
    assert any(row["reason"] == "merged" for row in found)


def check_answers(world: World, found: list[dict]) -> None:
    numbers = world.by("dim_business_number", "phone_number_id")
    waits, threads = defaultdict(list), Counter()
    for row in world.tables["fct_inbound_thread"]:
        number = numbers[row["phone_number_id"]]["display_phone_number"]
        threads[number] += 1
        if row["is_answered"]:
            waits[number].append((row["answered_at"] - row["opened_at"]).total_seconds() / 60)
    assert len(found) == len(numbers)
    for row in found:
        number = row["display_phone_number"]
        assert (row["threads"], row["answered"]) == (threads[number], len(waits[number]))
        assert row["average_minutes"] == pytest.approx(statistics.mean(waits[number]), abs=0.06)
        assert row["median_minutes"] == pytest.approx(statistics.median(waits[number]), abs=0.06)


def check_rates(world: World, found: list[dict]) -> None:
    """Counted in the landed files."""
    told, category = defaultdict(set), {}
    for item in world.items("statuses"):
        if item.get("recipient_type") != "group":
            told[item["id"]].add(item["status"])
            if "pricing" in item:
                category[item["id"]] = item["pricing"]["category"]
    assert {row["pricing_category"] for row in found} >= set(category.values())
    for row in found:
        ours = [
            statuses
            for message, statuses in told.items()
            if category.get(message, "not told") == row["pricing_category"]
        ]
        read = sum(bool(statuses & {"read", "played"}) for statuses in ours)
        delivered = sum(bool(statuses & {"delivered", "read", "played"}) for statuses in ours)
        assert row["messages"] == len(ours)
        assert row["read_percent"] == pytest.approx(100 * read / len(ours), abs=0.06)
        assert row["delivered_percent"] == pytest.approx(100 * delivered / len(ours), abs=0.06)


def check_clicks(world: World, found: list[dict]) -> None:
    messages = world.by("fct_message", "message_id")
    first = {row["customer_key"]: row["first_inbound_at"] for row in world.tables["dim_customer"]}
    clicks, customers, new = Counter(), defaultdict(set), defaultdict(set)
    for message in {item["id"] for item in world.items("messages") if "referral" in item}:
        row = messages[message]
        if row["customer_key"]:
            clicks[row["portfolio_id"]] += 1
            customers[row["portfolio_id"]].add(row["customer_key"])
            if row["occurred_at"] == first[row["customer_key"]]:
                new[row["portfolio_id"]].add(row["customer_key"])
    assert clicks.total() > 20
    assert [tuple(row.values()) for row in found] == [
        (portfolio, clicks[portfolio], len(customers[portfolio]), len(new[portfolio]))
        for portfolio in sorted(clicks)
    ]


def check_stale_contacts(world: World, found: list[dict]) -> None:
    """Every stale number was left; and of those that told us so, and that nobody else has, hardly any is missing."""
    accounts = {f"C-{row['account_id']}": row for row in world.accounts}
    shared = Counter(line(row["phone"]) for row in world.accounts)
    for row in found:
        account = accounts[row["crm_contact_id"]]
        assert shared[line(account["phone"])] > 1 or account["valid_to"] < world.as_of, row
    wrote = Counter(
        (row["portfolio_id"], row["account_id"])
        for row in world.said.values()
        if row["direction"] == "inbound"
    )
    left = {
        f"C-{row['old_account_id']}"
        for row in world.truth("transitions")
        if row["transition"] == "number_change"
        and row["delivered"]
        and row["portfolio_id"] == PORTFOLIO
        and shared[line(row["old_phone"])] == 1
        and wrote[PORTFOLIO, row["old_account_id"]]
        and wrote[PORTFOLIO, row["new_account_id"]]
    }
    missing = left - {row["crm_contact_id"] for row in found}
    assert len(left) > 20
    # of two customers where they are one, or told without the old number
    assert len(missing) <= 0.05 * len(left)


def check_business_numbers(world: World, found: list[dict]) -> None:
    customer = world.known_customer["customer_key"]
    (person,) = world.persons[customer]
    numbers = world.by("dim_business_number", "phone_number_id")
    spoken = {
        numbers[row["phone_number_id"]]["display_phone_number"]
        for row in world.said.values()
        if row["person_id"] == person and row["portfolio_id"] == PORTFOLIO
    }
    assert len(spoken) > 1
    assert {row["display_phone_number"] for row in found} == spoken
    bridge = [
        row
        for row in world.tables["bridge_customer_business_number"]
        if row["customer_key"] == customer
    ]
    expected = {
        (
            numbers[row["phone_number_id"]]["display_phone_number"],
            row["phone_last_seen_at"] and row["phone_last_seen_at"] + timedelta(days=30),
        )
        for row in bridge
        if row["phone_window_closes_at"] or not row["phone_last_seen_at"]
    }
    shown = {(row["display_phone_number"], row["phone_window_closes_at"]) for row in found}
    assert expected <= shown


def check_review(world: World, found: list[dict]) -> None:
    customers = world.by("dim_customer", "customer_key")

    def name(key: str | None) -> str | None:
        return customers[key]["profile_name"] if key else None

    expected = Counter(
        (
            row["kind"],
            row["left_value"],
            name(row["left_customer_key"]),
            row["right_value"],
            name(row["right_customer_key"]),
        )
        for row in world.tables["identity_review"]
    )
    assert any(row["left_name"] and row["right_name"] for row in found)
    columns = ("kind", "left_value", "left_name", "right_value", "right_name")
    assert Counter(tuple(row[name] for name in columns) for row in found) == expected


def check_repeat(world: World, found: list[dict]) -> None:
    """Customers who come back are persons who do, but for those that are two."""
    days = defaultdict(set)
    for message in world.tables["fct_message"]:
        row = world.said[message["message_id"]]
        if message["customer_key"] and row["direction"] == "inbound" and not message["is_group"]:
            days[row["portfolio_id"], row["person_id"]].add(row["occurred_at"].date())
    wrote, again = Counter(), Counter()
    for ours in days.values():
        for month in {day.replace(day=1) for day in ours}:
            wrote[month] += 1
            again[month] += any(day > min(ours) for day in ours if day.replace(day=1) == month)
    assert {row["month"] for row in found} == wrote.keys()
    for row in found:
        assert row["customers"] == pytest.approx(wrote[row["month"]], rel=0.06, abs=2)
        assert row["repeat_customers"] == pytest.approx(again[row["month"]], rel=0.1, abs=2)


def check_group_sends(world: World, found: list[dict]) -> None:
    reached = defaultdict(lambda: defaultdict(set))
    for item in world.items("statuses"):
        if item.get("recipient_type") == "group":
            who = item.get("recipient_participant_user_id") or item.get("recipient_participant_id")
            reached[item["id"]][item["status"]].add(who)
    sent = {message for message, row in world.said.items() if row["is_group_send"]}
    assert sent
    assert [row["message_id"] for row in found] == sorted(
        sent, key=lambda message: (world.said[message]["occurred_at"], message)
    )
    for row in found:
        of_send = reached[row["message_id"]]
        assert row["participants"] == len(set().union(*of_send.values()))
        assert row["read"] == len(of_send["read"])
        assert row["delivered"] == len(of_send["delivered"] | of_send["read"])
        assert row["known_customers"] <= row["participants"]


SIMULATED: dict[str, Callable[[World, list[dict]], None]] = {
    "whom to ask for their phone number before it disappears, and until when?": check_worklist,
    "the whole conversation with somebody, across their change of number: each message once, of one customer": check_conversation,
    "who held this number in May? (a phone in any spelling; also bsuid, parent_bsuid and username)": check_holder,
    "The texts": check_texts,
    "1": check_customers,
    "2": check_at_risk,
    "3": check_conversation_with_identifiers,
    "4": check_holder,
    "5": check_changed_numbers,
    "6": check_change_log,
    "7": check_former_keys,
    "8": check_answers,
    "9": check_rates,
    "10": check_clicks,
    "11": check_stale_contacts,
    "12": check_business_numbers,
    "13": check_review,
    "14": check_repeat,
    "15": check_group_sends,
}


@pytest.mark.parametrize("query", QUERIES, ids=key)
def test_a_simulated_world_answers(worlds, query):
    world = worlds["simulated"]
    found = world.answer(QUERIES[query])
    assert found
    SIMULATED[key(query)](world, found)
