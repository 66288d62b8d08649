"""Reading the published file: one short-lived connection per query, one cache per version."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard import mask
from orchestration import explain
from orchestration.versions import published_path
from orchestration.settings import Settings

Version = tuple[str, int, int]


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
    settings = Settings.of_readers()
    with explain.open_published(settings) as published:
        found = published.execute(sql, parameters).df()
    return found if settings.show_pii else mask.frame(found)


def rows(sql: str, **parameters: object) -> pd.DataFrame:
    """As `read`, remembered until another version is published: for what a page shows."""
    return _rows(version(), Settings.of_readers().show_pii, sql, tuple(parameters.items()))


@st.cache_data(max_entries=256, show_spinner=False)
def _rows(
    current: Version, show_pii: bool, sql: str, parameters: tuple[tuple[str, object], ...]
) -> pd.DataFrame:
    return read(sql, **dict(parameters))


@st.cache_data(max_entries=256, show_spinner=False)
def find(current: Version, identifier: str) -> list[tuple[str, str]]:
    """As `explain.customers_of`."""
    with explain.open_published(Settings.of_readers()) as published:
        return explain.customers_of(published, identifier)


@st.cache_data(max_entries=256, show_spinner=False)
def explanation(current: Version, customer_key: str) -> explain.Explanation:
    """As `explain.explanation`."""
    with explain.open_published(Settings.of_readers()) as published:
        return explain.explanation(published, customer_key)


def shown(masking: Callable[..., str], *value: str | None) -> str | None:
    """A value masked by a function of `mask`, unless SHOW_PII is set or there is none."""
    return value[-1] if Settings.of_readers().show_pii or value[-1] is None else masking(*value)


def csv(rows: pd.DataFrame) -> str:
    """Rows as CSV. A name that a spreadsheet would run as a formula gets an apostrophe."""
    safe = rows.copy(deep=False)
    for name in {"profile_name", "username", "current_username"} & set(rows.columns):
        safe[name] = rows[name].str.replace(r"^(?=[=+\-@\t\r])", "'", regex=True)
    return safe.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
