"""Which business numbers are ready for customers without a phone number."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

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

style.table(numbers)
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
