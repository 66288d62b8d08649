"""Which business numbers are ready for customers without a phone number."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style, words
from dashboard.words import say, word

numbers = data.rows(queries.READINESS, portfolio_id=st.session_state.portfolio_id)

st.title(say("numbers"))
st.write(say("numbers_intro"))
if numbers.empty:
    st.info(say("no_numbers"))
    st.stop()

counts = numbers["readiness"].value_counts()
with st.container(horizontal=True):
    for name in ("ready", "partly", "not_ready", "quiet"):
        st.metric(word(name), words.number(int(counts.get(name, 0))), border=True)
    st.metric(
        say("windows_closing"),
        words.number(int(numbers["closing_windows"].sum())),
        help=words.explained("windows_closing"),
        border=True,
    )

style.table(numbers)
called = data.names()["phone_number_id"]
chosen = st.selectbox(
    say("over_time"),
    list(numbers.index),
    format_func=lambda place: called.get(
        numbers.phone_number_id[place], numbers.phone_number_id[place]
    ),
)
weeks = data.rows(
    queries.READINESS_WEEKLY,
    portfolio_id=numbers.portfolio_id[chosen],
    phone_number_id=numbers.phone_number_id[chosen],
)
st.subheader(say("share_of_messages"))
style.weekly(weeks, ["bsuid_share", "phone_share", "username_share"], stacked=False, percent=True)
