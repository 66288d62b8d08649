"""Webhook JSON, piece by piece, in Meta's envelope.

Strings are put together by hand: a million of them have to be written, and key order and
spacing are Meta's. Values that need escaping (names) come in as JSON literals.

A *change* is `{"field": ..., "value": {...}}`. All changes of one kind and business number have
the same beginning, so updates are kept as (container, contact, item) until they are put in a
body; several items of one container may share a value.
"""

from .business import NUMBERS

# (field, name of the list in value, wrapped in value.standby)
CONTAINERS = (
    ("messages", "messages", False),
    ("messages", "statuses", False),
    ("smb_message_echoes", "message_echoes", False),
    ("calls", "calls", False),
    ("user_preferences", "user_preferences", False),
    ("user_id_update", "user_id_update", False),
    ("group_participants_update", "groups", False),
    ("standby", "messages", True),
    ("history", "history", False),
    ("smb_app_state_sync", "state_sync", False),
)
MESSAGES, STATUSES, ECHOES, CALLS, PREFERENCES, USER_ID_UPDATE, GROUPS, STANDBY = range(8)
HISTORY, STATE_SYNC = 8, 9

BODY_START = '{"object":"whatsapp_business_account","entry":['

# Per business number: everything up to the lists of a value.
_HEADS = [
    [
        f'{{"field":"{field}","value":{{"messaging_product":"whatsapp","metadata":'
        f'{{"display_phone_number":"{number.display}",'
        f'"phone_number_id":"{number.phone_number_id}"}}'
        for field, _, _ in CONTAINERS
    ]
    for number in NUMBERS
]
_WABAS = [number.waba_id for number in NUMBERS]


def change(number: int, container: int, contacts: list[str], items: list[str]) -> str:
    """One change with its contacts and items."""
    _, name, wrapped = CONTAINERS[container]
    head = _HEADS[number][container]
    lists = f',"contacts":[{",".join(contacts)}]' if contacts else ""
    if wrapped:
        inner = lists[1:] + "," if lists else ""
        return f'{head},"standby":{{{inner}"{name}":[{",".join(items)}]}}}}}}'
    return f'{head}{lists},"{name}":[{",".join(items)}]}}}}'


def entry(number: int, changes: list[str]) -> str:
    """One entry: the changes of one WABA."""
    return f'{{"id":"{_WABAS[number]}","changes":[{",".join(changes)}]}}'


def contact(
    name: str | None, username: str, phone: str, bsuid: str, parent: str, *, empty: bool = False
) -> str:
    """An element of `value.contacts`; `name` is a JSON literal, empty ids are left out.

    `empty` shows a missing phone as "" as the first documentation (Nov 2025) had it.
    """
    parts = []
    if name is not None:
        handle = f',"username":"{username}"' if username else ""
        parts.append(f'"profile":{{"name":{name}{handle}}}')
    elif username:
        parts.append(f'"profile":{{"username":"{username}"}}')
    if phone or empty:
        parts.append(f'"wa_id":"{phone}"')
    if bsuid:
        parts.append(f'"user_id":"{bsuid}"')
    if parent:
        parts.append(f'"parent_user_id":"{parent}"')
    return "{" + ",".join(parts) + "}"


def ids(prefix: str, phone: str, bsuid: str, parent: str) -> str:
    """The id fields of an item, such as from, from_user_id, from_parent_user_id."""
    out = f'"{prefix}":"{phone}",' if phone else ""
    if bsuid:
        out += f'"{prefix}_user_id":"{bsuid}",'
    if parent:
        out += f'"{prefix}_parent_user_id":"{parent}",'
    return out
