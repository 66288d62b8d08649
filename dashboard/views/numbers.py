"""Which business numbers are ready for customers without a phone number."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

SHARE = st.column_config.NumberColumn(format="percent")

numbers = data.rows(queries.READINESS, portfolio_id=st.session_state.portfolio_id)

st.title("Business numbers")
st.write(
    "A number is ready when its webhooks carry a BSUID in at least 99 % of messages and statuses "
    "of the last 28 days. If not, its provider still has to pass the new fields on."
)
if numbers.empty:
    st.info("No business number has traffic yet.")
    st.stop()

counts = numbers["readiness"].value_counts()
with st.container(horizontal=True):
    for name in ("ready", "partly", "not_ready", "quiet"):
        st.metric(style.word(name), style.number(int(counts.get(name, 0))))
    st.metric(
        "Windows closing",
        style.number(int(numbers["closing_windows"].sum())),
        help="Customers whose 30-day window on a number closes within days.",
    )

st.dataframe(
    numbers.assign(readiness=numbers["readiness"].map(style.word)),
    hide_index=True,
    placeholder="",
    column_config={
        "phone_number_id": "Business number",
        "portfolio_id": "Portfolio",
        "readiness": "Readiness",
        "events": st.column_config.NumberColumn("Events, 28 days", format="localized"),
        "bsuid_share": SHARE | {"label": "BSUID"},
        "parent_bsuid_share": SHARE | {"label": "Parent BSUID"},
        "username_share": SHARE | {"label": "Username"},
        "phone_share": SHARE | {"label": "Phone"},
        "first_bsuid_date": "First BSUID",
        "first_username_date": "First username",
        "last_active_date": "Last traffic",
        "customers": st.column_config.NumberColumn("Customers", format="localized"),
        "open_windows": st.column_config.NumberColumn("Windows open", format="localized"),
        "closing_windows": st.column_config.NumberColumn("closing", format="localized"),
        "closed_windows": st.column_config.NumberColumn("closed", format="localized"),
    },
)

chosen = st.selectbox(
    "Over time",
    list(numbers.index),
    format_func=lambda place: (
        f"{numbers.phone_number_id[place]} of portfolio {numbers.portfolio_id[place]}"
    ),
)
weeks = data.rows(
    queries.READINESS_WEEKLY,
    portfolio_id=numbers.portfolio_id[chosen],
    phone_number_id=numbers.phone_number_id[chosen],
)
st.subheader("Share of messages and statuses that carry ...")
style.weekly(weeks, ["bsuid_share", "phone_share", "username_share"], stacked=False, percent=True)
