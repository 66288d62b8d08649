"""How things look: one palette, one wording, and the charts of more than one page."""

from __future__ import annotations

import re
from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import data

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
WORDS = {
    "bsuid_only": "BSUID only",
    "bsuid": "BSUID",
    "parent_bsuid": "Parent BSUID",
    "bsuid_share": "BSUID",
    "phone_share": "Phone",
    "username_share": "Username",
    "phone_shown": "Phone shown",
    "phone_not_shown": "Phone not shown",
    "waba": "WABA",
    # columns
    "occurred_at": "When (UTC)",
    "message_type": "Type",
    "phone_number_id": "Business number",
    "portfolio_id": "Portfolio",
    "current_bsuid": "BSUID",
    "current_username": "Username",
    "current_phone_e164": "Phone now",
    "crm_contact_id": "Contact",
    "crm_phone": "Phone in the CRM",
    "wa_id": "Phone",
    "profile_name": "Name",
    "capture_reason": "Reason",
    "last_inbound_at": "Last wrote",
    "inbound_message_count": "Messages",
    "marketing_opt_out": "Opted out",
    "verdict_reason": "In words",
    "left_value": "First side",
    "right_value": "Second side",
    "subject": "About",
    "suggested_decision": "Suggested",
    "parent_bsuid_share": "Parent BSUID",
    "first_bsuid_date": "First BSUID",
    "events": "Events, 28 days",
    "phone_window_status": "30-day window",
    "phone_window_closes_at": "Window closes",
    "ready": "✓ ready",
    "partly": "◐ partly",
    "not_ready": "✗ no BSUIDs",
    "quiet": "– quiet",
    "phone_two_bsuids": "Phone with two BSUIDs",
    "bsuid_two_phones": "BSUID with two phones",
    "bsuid_in_two_portfolios": "BSUID in two portfolios",
    "unmapped_waba": "Unmapped WABA",
}

# Columns whose values are names of the marts.
NAMES = {
    "readiness",
    "kind",
    "capture_reason",
    "verdict",
    "phone_status",
    "phone_window_status",
}
MOST_ROWS, MOST_DOWNLOADED = 500, 100_000


def word(name: str) -> str:
    """A name of the marts as people read it."""
    return WORDS.get(name, name.replace("_", " ").capitalize())


def plain(value: object) -> str:
    """Text that others chose, so that Markdown leaves it as it is: no images, no links."""
    return re.sub(r"([^\w\s])", r"\\\1", str(value))


def number(value: int) -> str:
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def scale(names: Sequence[str]) -> alt.Scale:
    """The colours of these names of the marts, for a column of words."""
    return alt.Scale(
        domain=[word(name) for name in names], range=[COLOURS.get(name, GREY) for name in names]
    )


def table(rows: pd.DataFrame, order: Sequence[str] | None = None) -> None:
    """Rows of the marts in words; a customer key becomes a link to the customer."""
    shown = rows.copy(deep=False)
    for name in NAMES & set(rows.columns):
        shown[name] = rows[name].map(word, na_action="ignore")
    config: dict[str, object] = {name: word(name) for name in rows.columns}
    for name in rows.columns:
        if name.endswith("_share"):
            config[name] = st.column_config.NumberColumn(word(name), format="percent")
        elif name == "customer_key":
            shown[name] = "customer?id=" + rows[name]
            config[name] = st.column_config.LinkColumn("Customer", display_text="open")
    st.dataframe(shown, hide_index=True, placeholder="", column_order=order, column_config=config)


def listing(query: str, filters: dict[str, object], file: str) -> None:
    """The first rows of a list, and a button to download more of them as CSV."""
    rows = data.rows(query, **filters, most=MOST_ROWS)
    if rows.empty:
        st.info("Nobody is on this list.")
        return
    st.download_button(
        "Download the list (CSV)",
        lambda: data.csv(data.read(query, **filters, most=MOST_DOWNLOADED)),
        f"{file}.csv",
        "text/csv",
        on_click="ignore",
    )
    table(rows)
    if len(rows) == MOST_ROWS:
        st.caption(
            f"The first {MOST_ROWS} are shown; the download holds the first {MOST_DOWNLOADED:,}; all "
            f"are in parquet/{file}.parquet."
        )


def weekly(rows: pd.DataFrame, names: Sequence[str], stacked: bool, percent: bool = False) -> None:
    """Bars (stacked) or lines per week, one per column in `names`; rows have a `week_date`."""
    if rows.empty:
        st.caption("Nothing to draw yet.")
        return
    long = rows.melt("week_date", list(names), "series", "value")
    long["value"] = long["value"].astype(float)
    long["order"] = long["series"].map({name: place for place, name in enumerate(names)})
    long["series"] = long["series"].map(word)
    legend = alt.Legend(title=None, orient="top", labelLimit=220, columns=3)
    base = alt.Chart(long, height=280).encode(
        x=alt.X("yearmonthdate(week_date):T", title=None, axis=alt.Axis(format="%b %y")),
        y=alt.Y(
            "value:Q",
            title=None,
            stack="zero" if stacked else None,
            axis=alt.Axis(format=".0%" if percent else "~s", tickMinStep=0 if percent else 1),
        ),
        color=alt.Color("series:N", scale=scale(names), legend=legend),
        order=alt.Order("order:Q"),
        tooltip=[
            alt.Tooltip("week_date:T", title="Week of"),
            alt.Tooltip("series:N", title="What"),
            alt.Tooltip("value:Q", title="How many", format=".0%" if percent else ","),
        ],
    )
    chart = base.mark_bar() if stacked else base.mark_line(point=True)
    st.altair_chart(chart, width="stretch")


def bars(rows: pd.DataFrame, name: str, count: str, colour: str | None = None) -> None:
    """One horizontal bar per row; `name` is a column of names of the marts."""
    if rows.empty:
        st.caption("Nothing to draw yet.")
        return
    names = list(dict.fromkeys(rows[name]))
    shown = pd.DataFrame({"what": rows[name].map(word), "count": rows[count]})
    y = alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=180))
    x = alt.X("count:Q", title=None, axis=alt.Axis(format="~s", tickMinStep=1))
    tint = alt.value(colour) if colour else alt.Color("what:N", scale=scale(names), legend=None)
    drawn = alt.Chart(shown, height=34 * len(names) + 40).encode(x=x, y=y)
    labels = drawn.mark_text(align="left", dx=4).encode(text=alt.Text("count:Q", format=","))
    st.altair_chart(drawn.mark_bar().encode(color=tint) + labels, width="stretch")
