"""Webhook records gone wrong in all the ways that senders, gateways and disks know.

`mutate` makes one of a sound one; `sound_record` makes these. Both depend on nothing but the generator
of random numbers they are given.
"""

import base64
import copy
import json
import random
from typing import Any

LEAVES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "0",
    "x",
    "1790000000",
    1790000000000,
    "1790000000123",
    "9999999999",
    "-5",
    "nan",
    "1e400",
    "\x00",
    "\u202e",
    "😀",
    [],
    {},
    [None],
    [[]],
    {"a": {"b": [None]}},
    [{"id": "x"}, 5],
    # times of 1970, 2100 and 9999, and what others bear
    "1",
    "4102444800",
    "253402300799",
    "5511900000001",
    "+55 11 90000-0001",
    "BR.1001",
    "BR.1002",
    "BR.ENT.9001",
    "@Ana.Souza",
    "wamid.1",
]
FIELDS = [
    "messages",
    "standby",
    "smb_message_echoes",
    "history",
    "smb_app_state_sync",
    "calls",
    "group_participants_update",
    "user_preferences",
    "user_id_update",
    "account_update",
    "brand_new",
]
TEXTS = ["oi", "ação", "😀", "a\\ud83d", '"', "\n", "x" * 300]


def sound_record(rng: random.Random) -> dict[str, Any]:
    """A body with several entries, changes and items, as Meta might send it."""
    return {
        "object": "whatsapp_business_account",
        "entry": [_entry(rng) for _ in range(rng.choice([1, 1, 1, 2]))],
    }


def _entry(rng: random.Random) -> dict[str, Any]:
    changes = [_change(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    return {"id": f"20000000000000{rng.randrange(3)}", "changes": changes}


def _change(rng: random.Random) -> dict[str, Any]:
    field = rng.choice(FIELDS)
    people = [rng.randrange(40) for _ in range(rng.choice([1, 1, 2, 5]))]
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001111", "phone_number_id": "300000000000001"},
    }
    ids = [{"wa_id": f"55119000000{p:02}", "user_id": f"BR.10000000000000{p:02}"} for p in people]
    items = [
        {
            "id": f"wamid.{rng.getrandbits(40):x}",
            "timestamp": str(1_788_000_000 + rng.randrange(2_000_000)),
            "type": "text",
            "text": {"body": rng.choice(TEXTS)},
            "from": person["wa_id"],
            "from_user_id": person["user_id"],
        }
        for person in ids
    ]
    statuses = [
        {
            "id": item["id"],
            "status": rng.choice(["sent", "delivered", "read", "failed"]),
            "timestamp": item["timestamp"],
            "recipient_id": item["from"],
            "recipient_user_id": item["from_user_id"],
        }
        for item in items
    ]
    contacts = [person | {"profile": {"name": f"Ana {person['wa_id'][-2:]}"}} for person in ids]
    if field == "history":
        value["history"] = [{"threads": [{"id": ids[0]["wa_id"], "messages": items}]}]
    elif field == "smb_app_state_sync":
        time = {"timestamp": items[0]["timestamp"]}
        value["state_sync"] = [
            {"type": "contact", "action": "add", "contact": person, "metadata": time}
            for person in ids
        ]
    elif field == "standby":
        value["standby"] = {"contacts": contacts, "messages": items, "statuses": statuses}
    elif field == "smb_message_echoes":
        echoes = [{**item, "to": item["from"], "from": "15550001111"} for item in items]
        value |= {"contacts": contacts, "message_echoes": echoes}
    elif field == "user_id_update":
        value["user_id_update"] = [
            {
                "wa_id": item["from"],
                "timestamp": item["timestamp"],
                "user_id": {"previous": item["from_user_id"], "current": "BR.2" + item["from"]},
            }
            for item in items
        ]
    elif field == "account_update":
        value = {
            "event": "PARTNER_ADDED",
            "waba_info": {"waba_id": "2", "owner_business_id": "1"},
            "timestamp": items[0]["timestamp"],
        }
    elif field in ("calls", "user_preferences"):
        value |= {"contacts": contacts, field: items}
    elif field == "group_participants_update":
        value["groups"] = [
            {"type": "group_participants_add", "group_id": "G", "timestamp": item["timestamp"],
             "added_participants": ids}
            for item in items
        ]  # fmt: skip
    else:
        value |= {"contacts": contacts, rng.choice(["messages", "statuses"]): items}
        if rng.random() < 0.3:
            value["statuses"] = statuses
    return {"field": field, "value": value}


def mutate(record: dict[str, Any], rng: random.Random) -> bytes:
    """One line that was this record: as it is, broken at one to three places, or wrapped by a gateway."""
    broken = copy.deepcopy(record)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        _break_value(broken, rng)
    wrapped = _wrap(broken, rng) if rng.random() < 0.4 else broken
    text = json.dumps(wrapped, ensure_ascii=rng.random() < 0.5)
    line = text.encode(errors="surrogatepass")
    if rng.random() < 0.25:
        line = _break_bytes(line, rng)
    return line.replace(b"\n", b" ")


def _break_value(record: Any, rng: random.Random) -> None:
    node = record
    while True:
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not places:
            return
        place = rng.choice(places)
        if node is record and "entry" in places and rng.random() < 0.9:
            place = "entry"
        below = node[place]
        if isinstance(below, dict | list) and below and rng.random() < 0.85:
            node = below
            continue
        act = rng.randrange(6)
        if act == 0:
            del node[place]
        elif act == 1 and isinstance(node, list):
            node.insert(place, copy.deepcopy(rng.choice(LEAVES)))
        elif act == 2 and isinstance(below, str) and below:
            cut = rng.randrange(len(below) + 1)
            half = rng.choice(["\ud83d", "\ude00", "\ud83d\ud83d"])
            node[place] = below[:cut] + half + below[cut:]
        elif act == 3 and isinstance(node, dict):
            node[rng.choice(["messages", "contacts", "id", "timestamp", "körper"])] = below
        elif act == 4 and isinstance(below, list | dict):
            node[place] = [below] if rng.random() < 0.5 else {"x": below}
        else:
            node[place] = copy.deepcopy(rng.choice(LEAVES))
        return


def _wrap(body: Any, rng: random.Random) -> Any:
    text = json.dumps(body)
    packed = rng.choice(
        [body, text, base64.b64encode(text.encode(errors="surrogatepass")).decode()]
    )
    time = rng.choice(
        ["2026-10-01T00:00:00Z", 1790800000, "1790800000000", "yesterday", "0001-01-01", None, True]
    )
    return rng.choice(
        [
            {"received_at": time, "body": packed},
            {"received_at": "2026-10-01T00:00:00Z", "body": packed},
            {
                "Records": [{"body": packed, "attributes": {"SentTimestamp": time}}]
                * rng.choice([1, 2])
            },
            {"Records": [{"body": text}, {"body": rng.choice(["x", "{", "{}", text])}]},
            {"detail": packed, "time": time},
            {"message": {"data": packed, "publishTime": time}},
            {"id": 1, "created_at": time, "payload": packed},
            [{"headers": {}, "body": packed}],
            {"data": {"body": packed}},
            {"_airbyte_data": {"raw": packed}, "_airbyte_extracted_at": time},
            {"unknown": packed},
        ]
    )


def _break_bytes(line: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(line))
    scrap = rng.choice(
        [
            b"\xff",
            b"\xed\xa0\x80",
            b"\\ud83d",
            b"\\",
            b'"',
            b"{",
            b"}",
            b",",
            b"\x00",
            b"NaN",
            b"\xc3",
        ]
    )
    act = rng.randrange(4)
    if act == 0:
        return line[:place]
    if act == 1:
        return line[:place] + scrap + line[place:]
    if act == 2:
        return line[:place] + scrap + line[place + 1 :]
    return line[:place] + line[place + rng.randrange(1, 9) :]
