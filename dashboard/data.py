"""Reading the published file: one short-lived connection per query, one cache per version."""

from __future__ import annotations

import re
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import mask, queries
from dashboard.words import say, word
from orchestration import explain
from orchestration.settings import Settings, UserError
from orchestration.versions import published_path

Version = tuple[str, int, int]

KEY = r"[0-9a-f]{32}"
MOST_WORDS, MOST_FOUND = 5, 8
# Whoever sees masked phones may look up a whole number that a caller tells. Trying out the hidden
# digits of one (ten million of a Brazilian mobile) would take months at so many misses a minute.
MOST_MISSES = 60


class SlowDown(UserError):
    """Too many phone numbers were tried that nobody has."""


class Found(NamedTuple):
    """A customer a search leads to, with how: the type of what was held, from and to (UTC)."""

    customer_key: str
    kind: str
    begin: datetime | None = None
    end: datetime | None = None


def version() -> Version | None:
    """What is published now: path, inode and modification time; None when nothing is."""
    path = published_path(Settings.of_readers())
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return str(path), status.st_ino, status.st_mtime_ns


def read(sql: str, **parameters: object) -> pd.DataFrame:
    """The rows of a query as published now, phones masked unless SHOW_PII is set."""
    found = read_unmasked(sql, **parameters)
    return found if Settings.of_readers().show_pii else mask.frame(found)


def read_unmasked(sql: str, **parameters: object) -> pd.DataFrame:
    """The rows of a query as published now: for what is written to a seed, never for a screen."""
    with explain.open_published(Settings.of_readers()) as published:
        return published.execute(sql, parameters).df()


def rows(sql: str, **parameters: object) -> pd.DataFrame:
    """As `read`, remembered until another version is published: for what a page shows."""
    return _rows(version(), Settings.of_readers().show_pii, sql, tuple(parameters.items()))


@st.cache_data(max_entries=256, show_spinner=False)
def _rows(
    current: Version, show_pii: bool, sql: str, parameters: tuple[tuple[str, object], ...]
) -> pd.DataFrame:
    return read(sql, **dict(parameters))


def names() -> dict[str, dict[str, str]]:
    """What to call portfolios and business numbers: by column, from id to name."""
    known = rows(queries.BUSINESS_NUMBERS)
    numbers = dict(zip(known["phone_number_id"], known["business_number"], strict=True))
    return {
        "portfolio_id": {
            portfolio: say("unlisted", account=business[5:])
            if business.startswith("waba:")
            else business
            for portfolio, business in zip(known["portfolio_id"], known["business"], strict=True)
        },
        "phone_number_id": numbers,
        "ask_from_phone_number_id": numbers,
    }


def named(found: pd.DataFrame) -> pd.DataFrame:
    """Rows with names and display numbers in the place of ids."""
    shown = found.copy(deep=False)
    for column, called in names().items():
        if column in found:
            shown[column] = found[column].map(lambda one, called=called: called.get(one, one))
    return shown


def plain_text(text: str) -> str:
    """Lower case without accents, as QUERY compares names."""
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(sign for sign in apart if not unicodedata.combining(sign)).strip()


def search(text: str, at: date | None, portfolio_id: str | None) -> list[Found]:
    """Whom a text leads to: who held it (on that day, if one is given), else who is called so.

    Names match by parts of words, identifiers only in whole. While phones are masked, a text with
    digits is compared with no name: people write their number there. Raises SlowDown, and
    explain.Unknown for a message that has no customer.
    """
    masked = not Settings.of_readers().show_pii
    looks_like_phone = len(re.sub(r"\D", "", text)) >= 7 and not re.search(r"[A-Za-z_]", text)
    if masked and looks_like_phone:
        _check_misses()
    held = _held(text)
    if at is not None:
        held = [
            one
            for one in held
            if one.begin is None or one.begin.date() <= at <= (one.end or datetime.max).date()
        ]
    found = list({one.customer_key: one for one in reversed(held)}.values())[::-1]
    if masked and looks_like_phone and not found:
        _misses().append(time.monotonic())
    if masked and re.search(r"\d", text):
        return found
    called = rows(queries.SEARCH, portfolio_id=portfolio_id, **words_of(text), most=MOST_FOUND)
    there = {one.customer_key for one in found}
    return found + [
        Found(key, "profile_name") for key in called["customer_key"] if key not in there
    ]


def _held(text: str) -> list[Found]:
    with explain.open_published(Settings.of_readers()) as published:
        if text.startswith("wamid."):
            found = explain.customers_of_message(published, text)
        elif re.fullmatch(KEY, text):
            found = explain.customers_of(published, text)
        else:
            return [Found(*row) for row in explain.holdings(published, text)]
    return [Found(key, "message" if how == "message" else "customer_key") for key, how in found]


def words_of(text: str) -> dict[str, str]:
    """The first words of a text as parameters of a query: word0 to word4, empty when there is none."""
    parts = plain_text(text).split()[:MOST_WORDS]
    return {
        f"word{place}": part for place, part in enumerate(parts + [""] * (MOST_WORDS - len(parts)))
    }


def phones_of(text: str) -> dict[str, object]:
    """A text that looks like a phone as parameters of a query: its digits, and the keys of all it may be."""
    digits = re.sub(r"\D", "", text)
    if not digits or re.search(r"[^\d\s+().-]", text):
        return {"digits": "", "phones": ()}
    return {"digits": digits, "phones": tuple(rows(queries.PHONE_KEYS, text=text)["key_hash"])}


def unassigned(message_id: str) -> str:
    """Why a message has no customer, in words."""
    [(reason,)] = rows(queries.UNASSIGNED, message_id=message_id).itertuples(index=False)
    return word(reason)


@st.cache_resource(show_spinner=False)
def _misses() -> deque[float]:
    return deque(maxlen=MOST_MISSES)


def _check_misses() -> None:
    misses = _misses()
    if len(misses) == MOST_MISSES and time.monotonic() - misses[0] < 60:
        raise SlowDown(say("slow_down"))


@st.cache_data(max_entries=256, show_spinner=False)
def explanation(current: Version, customer_key: str) -> explain.Explanation:
    """As `explain.explanation`."""
    with explain.open_published(Settings.of_readers()) as published:
        return explain.explanation(published, customer_key)


@st.cache_data(max_entries=256, show_spinner=False)
def current_key(current: Version, key: str) -> str | None:
    """The customer a key of any time leads to; None when it never was one."""
    with explain.open_published(Settings.of_readers()) as published:
        found = explain.customers_of(published, key)
    return found[0][0] if found else None


def shown(masking: Callable[..., str], *value: str | None) -> str | None:
    """A value masked by a function of `mask`, unless SHOW_PII is set or there is none."""
    return value[-1] if Settings.of_readers().show_pii or value[-1] is None else masking(*value)


# Columns that a spreadsheet would take for numbers: it drops zeros, plus signs and all digits after
# the fifteenth.
IDS = re.compile(r"(_id|_key|_e164|_bsuid|bsuid|wa_id|phone)$")
FORMULA = re.compile(r"^(?=\s*[=+\-@＝＋－＠|%])")


def csv(found: pd.DataFrame, for_excel: bool = True) -> bytes:
    """Rows as CSV in which nothing of a stranger runs as a formula.

    For Excel it opens with a byte-order mark, and ids and phones are written as ="5511...": the one
    way in which Excel, LibreOffice and Google Sheets all keep every digit. A CRM that imports would
    take that literally: for it they stay as they are.
    """
    safe = found.copy(deep=False)
    for name in found.select_dtypes(["object", "string"]).columns:
        is_id = bool(IDS.search(name))
        safe[name] = [_cell(value, is_id, for_excel) for value in found[name]]
    text = safe.to_csv(index=False, date_format="%Y-%m-%d %H:%M:%S")
    return text.encode("utf-8-sig" if for_excel else "utf-8")


def _cell(value: object, is_id: bool, for_excel: bool) -> object:
    if not isinstance(value, str):
        return value
    if is_id and re.fullmatch(r"\+?[\w.:() •-]+", value):
        return f'="{value}"' if for_excel else value
    return FORMULA.sub("'", re.sub(r"[\t\r\n]+", " ", value))
