"""Values, classified by their shape before the name of their field (section 3)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from .model import Json

BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
PARENT = re.compile(r"[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}")
PHONE = re.compile(r"[0-9]{5,20}")


@dataclass(frozen=True)
class Person:
    """The identifiers one object shows, classified by shape before field name."""

    bsuid: str | None = None
    phone: str | None = None
    parent: str | None = None
    malformed: tuple[str, ...] = ()


def shape(value: Any) -> str:
    """What a value is: bsuid, parent, phone, blank or malformed."""
    if value is None or not str(value).strip():
        return "blank"
    text = str(value)
    for name, pattern in (("bsuid", BSUID), ("parent", PARENT), ("phone", PHONE)):
        if pattern.fullmatch(text):
            return name
    return "malformed"


def person(bsuid: Any = None, phone: Any = None, parent: Any = None) -> Person:
    """Classify three slots. The BSUID slot wins over a BSUID in the phone slot."""
    slots = (bsuid, phone, parent)

    def first(kind: str, *values: Any) -> str | None:
        return next((str(value) for value in values if shape(value) == kind), None)

    return Person(
        first("bsuid", bsuid, phone),
        first("phone", phone),
        first("parent", parent, bsuid, phone),
        tuple(str(value) for value in slots if shape(value) == "malformed"),
    )


def contact_person(contact: Json) -> Person:
    return person(contact.get("user_id"), contact.get("wa_id"), contact.get("parent_user_id"))


def handle(value: Any) -> str | None:
    """A username, lower-cased and without one leading @."""
    text = str(value or "").strip().lower().removeprefix("@")
    return text or None


def plain_name(name: str | None) -> str | None:
    """A name as it is compared; one without a letter or digit is no name."""
    text = " ".join(unicodedata.normalize("NFC", name or "").split()).lower()
    return text if any(character.isalnum() for character in text) else None
