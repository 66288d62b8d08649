"""Who can only send messages, and wants to be taken for a customer: each attack with its outcome.

Each is in a portfolio of its own: Ana writes, then Eve tries. Ana stays who she was under her key with all her messages,
and nothing that Eve sent is hers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.build import Build

ANA, ANAS_PHONE, ANAS_MESSAGE = "BR.1000000000000001", "5511900000001", "wamid.ana.1"
EVE, EVES_PHONE = "BR.1000000000000666", "5511900000666"
BEGIN = datetime(2026, 6, 1)


@dataclass
class Attack:
    """What Eve's one message has beside her own BSUID and phone, and what of Ana it does change."""

    profile: dict = field(default_factory=dict)
    message: dict = field(default_factory=dict)
    phone: str = EVES_PHONE
    days: int = 30
    loses: dict = field(default_factory=dict)  # column of dim_customer -> what Ana has instead
    reviews: set[str] = field(default_factory=set)


def card(origin: str, **contact: object) -> dict:
    phones = [{"phone": f"+{ANAS_PHONE}", "wa_id": ANAS_PHONE, "type": "CELL"}]
    return {"type": "contacts", "contacts": [{"phones": phones, "origin": origin, **contact}]}


def text(body: str) -> dict:
    return {"type": "text", "text": {"body": body}}


ATTACKS = {
    "her name": Attack({"name": "Ana Souza"}),
    "her BSUID as a name": Attack({"name": ANA}),
    "her phone as a name": Attack({"name": f"+{ANAS_PHONE}"}),
    "SQL as a name": Attack({"name": f"x'; update dim_customer set current_bsuid = '{EVE}'; --"}),
    "her BSUID as a username": Attack({"username": ANA}),
    "her phone as a username": Attack({"username": ANAS_PHONE}),
    # WhatsApp gives a name to one at a time: who shows it last has it, and nothing else
    "her username": Attack({"username": "@Ana.Souza"}, loses={"username": None}),
    "the sentence of a change, as a text": Attack(
        message=text(f"User Ana Souza changed from {ANA} to {EVE}"), days=10
    ),
    "the sentence of a change of number, as a text": Attack(
        message=text(f"User Ana Souza changed from {ANAS_PHONE} to {EVES_PHONE}"), days=10
    ),
    "JSON of a change, as a text": Attack(
        message=text(
            f'{{"user_id_update":[{{"user_id":{{"previous":"{ANA}","current":"{EVE}"}}}}]}}'
        )
    ),
    "a card of hers": Attack(message=card("other")),
    "a card of hers, with Eve's BSUID": Attack(message=card("other", user_id=EVE)),
    "her number as an answer to who asks for Eve's": Attack(
        message=card("contact_request"), reviews={"attested_phone_taken"}
    ),
    "an answer to her message": Attack(
        message={**text("it is me"), "context": {"from": ANAS_PHONE, "id": ANAS_MESSAGE}}
    ),
    "her number, once it is Eve's": Attack(
        phone=ANAS_PHONE, loses={"wa_id": None}, reviews={"phone_two_bsuids"}, days=100
    ),
    "her number and her name": Attack(
        {"name": "Ana Souza"},
        phone=ANAS_PHONE,
        loses={"wa_id": None},
        reviews={"phone_two_bsuids"},
        days=100,
    ),
}
NAMES = list(ATTACKS)
COLUMNS = ("customer_key", "current_bsuid", "wa_id", "username", "profile_name")


def record(place: int, who: str, phone: str, profile: dict, message: dict, at: datetime) -> dict:
    seconds = str(int((at - datetime(1970, 1, 1)).total_seconds()))
    value = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": f"1555000{place:04}",
            "phone_number_id": f"3{place:014}",
        },
        "contacts": [{"profile": profile, "wa_id": phone, "user_id": who}],
        "messages": [{"from": phone, "from_user_id": who, "timestamp": seconds, **message}],
    }
    return {
        "received_at": (at + timedelta(seconds=2)).isoformat() + "Z",
        "body": {
            "object": "whatsapp_business_account",
            "entry": [{"id": f"2{place:014}", "changes": [{"field": "messages", "value": value}]}],
        },
    }


def account(place: int) -> dict[str, str]:
    names = (
        "waba_id,portfolio_id,business_name,default_country,valid_from,valid_to,"
        "contact_book_from,contact_book_to"
    ).split(",")
    return dict.fromkeys(names, "") | {
        "waba_id": f"2{place:014}",
        "portfolio_id": NAMES[place],
        "default_country": "BR",
    }


def told(build: Build, query: str) -> dict[str, list[tuple]]:
    """portfolio -> the rows that a query gives of it."""
    found: dict[str, list[tuple]] = {name: [] for name in NAMES}
    for portfolio, *row in build.query(query):
        found[portfolio].append(tuple(row))
    return found


CUSTOMERS = f"select portfolio_id, {', '.join(COLUMNS)} from marts.dim_customer order by all"
MESSAGES = "select portfolio_id, message_id, customer_key from marts.fct_message order by all"
# that all portfolios have one Ana is the doing of this test
REVIEWS = "select portfolio_id, kind from marts.identity_review where kind <> 'bsuid_in_two_portfolios' order by all"


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> tuple[dict, dict, dict, dict]:
    """Customers of before; customers, messages and questions of after all attacks."""
    build = Build(tmp_path_factory.mktemp("attacks"))
    seeds = {"business_accounts": [account(place) for place in range(len(NAMES))]}
    profile = {"name": "Ana Souza", "username": "ana.souza"}
    build.run(
        [
            record(place, ANA, ANAS_PHONE, profile, {"id": ANAS_MESSAGE, **text("oi")}, BEGIN)
            for place in range(len(NAMES))
        ],
        seeds,
    )
    before = told(build, CUSTOMERS)
    build.run(
        [
            record(
                place,
                EVE,
                attack.phone,
                {"name": "Eve Lima", **attack.profile},
                {"id": "wamid.eve.1", **(attack.message or text("oi"))},
                BEGIN + timedelta(days=attack.days),
            )
            for place, attack in enumerate(ATTACKS.values())
        ],
        seeds,
    )
    return before, told(build, CUSTOMERS), told(build, MESSAGES), told(build, REVIEWS)


@pytest.mark.parametrize("name", NAMES)
def test_ana_stays_ana(story, name):
    before, after, messages, reviews = story
    ((key, *_),) = before[name]
    ana = dict(zip(COLUMNS, before[name][0], strict=True)) | ATTACKS[name].loses
    customers = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in after[name]}
    assert customers[key] == ana
    (eve,) = customers.keys() - {key}
    assert customers[eve]["current_bsuid"] == EVE
    assert messages[name] == [(ANAS_MESSAGE, key), ("wamid.eve.1", eve)]
    assert {kind for (kind,) in reviews[name]} == ATTACKS[name].reviews
