"""What the pages say, in the language that was chosen: one catalogue, words.yml."""

from __future__ import annotations

import functools
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import streamlit as st
import yaml

LANGUAGES = {"en": "English", "id": "Bahasa Indonesia"}
MONTHS = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(),
    "id": "Jan Feb Mar Apr Mei Jun Jul Agu Sep Okt Nov Des".split(),
}


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """Each key with its text by language."""
    return yaml.safe_load((Path(__file__).parent / "words.yml").read_text(encoding="utf-8"))


def language() -> str:
    """The one chosen on the page; before that, what the browser prefers, or English."""
    preferred = "id" if (st.context.locale or "").lower().startswith("id") else "en"
    return st.session_state.get("language") or preferred


def say(key: str, /, **values: object) -> str:
    """The text of a key, its {braces} filled in. Raises KeyError for a key of no catalogue."""
    return catalogue()[key][language()].format(**values)


def word(name: str) -> str:
    """A name of the marts as people read it: of the catalogue, else without its underscores."""
    return say(name) if name in catalogue() else name.replace("_", " ").capitalize()


def explained(name: str) -> str | None:
    """One sentence on a word, where there is one."""
    return say(f"{name}_help") if f"{name}_help" in catalogue() else None


def number(value: int) -> str:
    """A whole number with the separators of the language."""
    text = f"{value:,}"
    return text.replace(",", ".") if language() == "id" else text


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def day(when: date | datetime | None) -> str:
    """A day as 2 Nov 2026; none is today."""
    if when is None or pd.isna(when):
        return say("today")
    return f"{when.day} {MONTHS[language()][when.month - 1]} {when.year}"


def moment(when: datetime | None) -> str:
    """A time (UTC) as 2 Nov 2026, 14:05; none is today."""
    return say("today") if when is None or pd.isna(when) else f"{day(when)}, {when:%H:%M}"
