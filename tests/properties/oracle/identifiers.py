"""Values, classified by their shape before the name of their field (section 3)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from .model import Json

BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
PARENT = re.compile(r"[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}")
# joiners, directions, keycaps and variation selectors: they belong to the sign or letter before them
UNSEEN = dict.fromkeys([*range(0x200B, 0x2010), 0x20E3, *range(0xFE00, 0xFE10)])
PHONE = re.compile(r"\+?([0-9]{5,20})(?:@s\.whatsapp\.net|@c\.us)?")


@dataclass(frozen=True)
class Person:
    """The identifiers one object shows, classified by shape before field name."""

    bsuid: str | None = None
    phone: str | None = None
    parent: str | None = None
    malformed: tuple[str, ...] = ()


def is_blank(value: Any) -> bool:
    """Whether a slot says nothing: absent, empty or white space."""
    return value is None or not str(value).strip()


def classify(value: Any) -> tuple[str, str]:
    """What a value is (bsuid, parent, phone, blank or malformed) and how it is written as that."""
    if is_blank(value):
        return "blank", ""
    text = str(value)
    if BSUID.fullmatch(text):
        return "bsuid", text
    if PARENT.fullmatch(text):
        return "parent", text
    if phone := PHONE.fullmatch(text):
        return "phone", phone[1]
    return "malformed", text


def person(
    bsuid: Any = None, phone: Any = None, parent: Any = None, other_phone: Any = None
) -> Person:
    """Classify the slots of one person. The BSUID slot wins over a BSUID in a phone slot."""
    found = [classify(value) for value in (bsuid, phone, other_phone, parent)]
    in_bsuid, in_phone, in_other, in_parent = found

    def first(kind: str, *slots: tuple[str, str]) -> str | None:
        return next((text for shape, text in slots if shape == kind), None)

    return Person(
        first("bsuid", in_bsuid, in_phone, in_other),
        first("phone", in_phone, in_other),
        first("parent", in_parent, in_bsuid, in_phone, in_other),
        tuple(text for shape, text in found if shape == "malformed"),
    )


def contact_person(contact: Json) -> Person:
    return person(contact.get("user_id"), contact.get("wa_id"), contact.get("parent_user_id"))


def handle(value: Any) -> str | None:
    """A username, lower-cased and without one leading @."""
    text = str(value or "").strip().lower().removeprefix("@")
    return text or None


def plain_name(name: str | None) -> str | None:
    """A name as it is compared: its words of letters, marks and digits; signs are no name."""
    text = unicodedata.normalize("NFC", name or "").translate(UNSEEN)
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join("".join(kept).split()).lower() or None


def is_other_name(left: str | None, right: str | None) -> bool:
    """Whether two names contradict each other: both are known, and their first words differ."""
    mine, theirs = plain_name(left), plain_name(right)
    return bool(mine and theirs) and mine.split()[0] != theirs.split()[0]
