"""Phone numbers out of sight: in their columns, in free text and inside message ids."""

from __future__ import annotations

import base64
import binascii
import re

import pandas as pd

# Columns whose type another column tells, and columns of ids and names that are no customer's. Of the other text
# columns CHANGES says what stands in them; one that is named nowhere is free text.
TYPED = {
    "identifier_value": "identifier_type",
    "left_value": "left_type",
    "right_value": "right_type",
    "subject": "kind",
}
PLAIN = {
    "portfolio_id",
    "phone_number_id",
    "customer_key",
    "current_bsuid",
    "bsuid",
    "review_id",
    "left_customer_key",
    "right_customer_key",
    "crm_contact_id",
    "ask_from_phone_number_id",
    "business",
    "business_number",
}
# Types of identifier, and kinds of question by their subject, that are ids of accounts.
ACCOUNTS = {
    "bsuid",
    "parent_bsuid",
    "waba",
    "portfolio",
    "portfolio_mapping_proposed",
    "bsuid_in_two_portfolios",
}
LONG_NUMBER = re.compile(r"(?<![\w.])(?!\d{4}-\d\d-\d\d)\+?\d(?:[ ().-]{0,2}\d){6,19}(?!\w)")


def phone(value: str) -> str:
    """The number with its first and last two digits; everything else of it keeps its place."""
    places = [place for place, sign in enumerate(value) if sign.isdigit()]
    hidden = set(places[2:-2] if len(places) > 4 else places)
    return "".join("•" if place in hidden else sign for place, sign in enumerate(value))


def text(value: str) -> str:
    """Free text, without what is long enough to be a phone number."""
    return LONG_NUMBER.sub(lambda found: phone(found[0]), value)


def event(value: str) -> str:
    """A message id; one of Meta's making holds the phone in base64 and keeps only its end."""
    head, _, body = value.partition("wamid.")
    if head or not body:
        return text(value)
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text(value)
    return f"wamid.…{body[-8:]}" if re.search(rb"\d{7}", decoded) else value


def identifier(kind: str | None, value: str) -> str:
    """An identifier of this type."""
    if kind == "phone":
        return phone(value)
    return value if kind in ACCOUNTS else text(value)


def node(node_id: str) -> str:
    """A node of the graph: `bsuid:...` or `phone:...@since`."""
    kind, _, rest = node_id.partition(":")
    value, at, since = rest.partition("@")
    return f"{kind}:{identifier(kind, value)}{at}{since}"


def override(row: str) -> str:
    """A row of identity_overrides.csv, whose 2nd and 5th fields are the types of the next ones."""
    fields = row.split(",")
    for place in (1, 4):
        fields[place + 1] = identifier(fields[place], fields[place + 1])
    return ",".join(fields)


CHANGES = {
    "wa_id": phone,
    "crm_phone": phone,
    "current_phone_e164": phone,
    "message_id": event,
    "evidence_event_id": event,
    "override_row": override,
}


def frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the marts with every column masked as its name asks."""
    masked = rows.copy(deep=False)
    for name in set(rows.select_dtypes(["object", "string"]).columns) - PLAIN:
        if name in TYPED:
            pairs = zip(rows[TYPED[name]], rows[name], strict=True)
            masked[name] = [
                identifier(kind, value) if isinstance(value, str) else value
                for kind, value in pairs
            ]
            continue
        masked[name] = rows[name].map(CHANGES.get(name, text), na_action="ignore")
    return masked
