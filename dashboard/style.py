"""How things look: one palette, and the tables and charts of more than one page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import data, words
from dashboard.words import say, word

# Okabe and Ito's colours, told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY = "#56B4E9", "#CC79A7", "#767676"

COLOURS = {
    # identity_stage
    "phone_only": ORANGE,
    "linked": BLUE,
    "bsuid_only": SKY,
    # phone_status and what messages show
    "visible": BLUE,
    "attested": GREEN,
    "window_closing": VERMILION,
    "window_closed": "#9C3D00",
    "hidden": ORANGE,
    "released": PURPLE,
    "never_seen": GREY,
    "phone_shown": BLUE,
    "phone_not_shown": ORANGE,
    # identifier_type and shares of a business number
    "bsuid": BLUE,
    "parent_bsuid": PURPLE,
    "phone": ORANGE,
    "username": GREEN,
    "bsuid_share": BLUE,
    "phone_share": ORANGE,
    "username_share": GREEN,
    # others
    "with_username": GREEN,
    "at_risk": VERMILION,
    "rotations": BLUE,
    "possible_missed_rotations": VERMILION,
}
# Columns whose values are names of the marts, and how to name those that mean another thing there.
NAMES = {
    "readiness": {},
    "kind": {},
    "capture_reason": {},
    "verdict": {"linked": "crm_linked", "phone_only": "crm_phone_only"},
    "phone_status": {},
    "phone_window_status": {"open": "window_open"},
    "direction": {"inbound": "inbound_message"},
    "message_type": {},
    "delivery_status": {},
}
MOST_ROWS, MOST_DOWNLOADED = 500, 100_000
HEIGHT = 280  # of a chart, in pixels


def plain(value: object) -> str:
    """Text that others chose, so that Markdown leaves it as it is: no images, no links."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", str(value))


def scale(names: Sequence[str]) -> alt.Scale:
    """The colours of these names of the marts, for a column of words."""
    return alt.Scale(
        domain=[word(name) for name in names], range=[COLOURS.get(name, GREY) for name in names]
    )


def value(column: str, name: str) -> str:
    """A value of a column of NAMES in words."""
    return word(NAMES[column].get(name, name))


def table(rows: pd.DataFrame, order: Sequence[str] | None = None) -> None:
    """Rows of the marts in words; a customer key becomes a link to the customer."""
    shown = data.named(rows)
    config: dict[str, object] = {}
    for name in rows.columns:
        label, explained = word(name), words.explained(name)
        column = st.column_config.Column(label, help=explained)
        if name in NAMES:
            shown[name] = rows[name].map(partial(value, name), na_action="ignore")
        elif rows[name].dtype == bool:
            shown[name] = rows[name].map({True: say("yes"), False: ""})
        elif name.endswith("_share"):
            column = st.column_config.NumberColumn(label, help=explained, format="percent")
        elif name == "customer_key":
            shown[name] = "customer?id=" + rows[name]
            column = st.column_config.LinkColumn(label, display_text=say("open"), width="small")
        elif name.endswith("_date"):
            column = st.column_config.DateColumn(label, help=explained, format="D MMM YYYY")
        elif pd.api.types.is_datetime64_any_dtype(rows[name]):
            column = st.column_config.DatetimeColumn(
                label, help=explained, format="D MMM YYYY, HH:mm", width=150
            )
        elif pd.api.types.is_numeric_dtype(rows[name]):
            column = st.column_config.NumberColumn(
                label, help=explained, format="%.2f" if name == "score" else "localized"
            )
        config[name] = column
    st.dataframe(shown, hide_index=True, placeholder="", column_order=order, column_config=config)


def listing(
    query: str,
    filters: dict[str, object],
    file: str,
    for_import: bool = False,
    order: Sequence[str] | None = None,
) -> None:
    """The first rows of a list, and buttons to download more of them as CSV."""
    rows = data.rows(query, **filters, most=MOST_ROWS)
    if rows.empty:
        st.info(say("nobody_listed"))
        return

    def fetch(for_excel: bool) -> bytes:
        found = data.read(query, **filters, most=MOST_DOWNLOADED)
        return data.csv(data.named(found) if for_excel else found, for_excel)

    with st.container(horizontal=True):
        name = f"{file}.csv"
        st.download_button(
            say("download"), partial(fetch, True), name, "text/csv", on_click="ignore"
        )
        if for_import:
            st.download_button(
                say("download_plain"),
                partial(fetch, False),
                f"{file}_import.csv",
                "text/csv",
                on_click="ignore",
            )
    table(rows, order)
    if len(rows) == MOST_ROWS:
        st.caption(
            say(
                "first_rows",
                shown=words.number(MOST_ROWS),
                most=words.number(MOST_DOWNLOADED),
                file=file,
            )
        )


def time_axis(**options: object) -> alt.Axis:
    """Days and months, in the language of the page."""
    months = json.dumps(words.MONTHS[words.language()])
    label = f"date(datum.value) + ' ' + {months}[month(datum.value)]"
    years = (
        f"{label} + (month(datum.value) == 0 || datum.index == 0 ? ' ' + year(datum.value) : '')"
    )
    return alt.Axis(labelExpr=years, labelOverlap=True, tickCount=6, **options)


def weekly(rows: pd.DataFrame, names: Sequence[str], stacked: bool, percent: bool = False) -> None:
    """Bars (stacked) or lines per week, one per column in `names`; rows have a `week_date`."""
    if rows.empty:
        st.caption(say("nothing_drawn"))
        return
    long = rows.melt("week_date", list(names), "series", "value")
    long["value"] = long["value"].astype(float)
    long["order"] = long["series"].map({name: place for place, name in enumerate(names)})
    long["series"] = long["series"].map(word)
    legend = alt.Legend(title=None, orient="top", labelLimit=220, columns=2, offset=8, padding=0)
    base = alt.Chart(long, height=HEIGHT).encode(
        x=alt.X("yearweek(week_date):T", title=None, axis=time_axis()),
        y=alt.Y(
            "value:Q",
            title=None,
            stack="zero" if stacked else None,
            axis=alt.Axis(format=".0%" if percent else "~s", tickMinStep=0 if percent else 1),
        ),
        color=alt.Color("series:N", scale=scale(names), legend=legend),
        order=alt.Order("order:Q"),
        tooltip=[
            alt.Tooltip("week_date:T", title=say("week_of"), format="%Y-%m-%d"),
            alt.Tooltip("series:N", title=say("what")),
            alt.Tooltip("value:Q", title=say("how_many"), format=".0%" if percent else ","),
        ],
    )
    chart = base.mark_bar() if stacked else base.mark_line(point=True)
    st.altair_chart(chart, width="stretch")


def bars(rows: pd.DataFrame, name: str, count: str, colour: str | None = None) -> None:
    """One horizontal bar per row; `name` is a column of names of the marts."""
    if rows.empty:
        st.caption(say("nothing_drawn"))
        return
    names = list(dict.fromkeys(rows[name]))
    shown = pd.DataFrame({"what": rows[name].map(word), "count": rows[count]})
    y = alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=220))
    room = alt.Scale(domainMax=1.15 * float(rows[count].max()))  # for the figure beside the longest
    x = alt.X("count:Q", title=None, scale=room, axis=alt.Axis(format="~s", tickMinStep=1))
    tint = alt.value(colour) if colour else alt.Color("what:N", scale=scale(names), legend=None)
    drawn = alt.Chart(shown, height=min(34 * len(names) + 40, HEIGHT)).encode(x=x, y=y)
    labels = drawn.mark_text(align="left", dx=4).encode(text=alt.Text("count:Q", format=","))
    st.altair_chart(drawn.mark_bar().encode(color=tint) + labels, width="stretch")
