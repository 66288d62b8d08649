"""Whom to ask for their phone number, from which business number, and by when."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style, words
from dashboard.words import say, word

portfolio = st.session_state.portfolio_id
counts = data.rows(queries.CAPTURE_REASONS, portfolio_id=portfolio)
by_reason = dict(zip(counts["capture_reason"], counts["customers"], strict=True))

st.title(say("capture"))
st.write(say("capture_intro"))
with st.expander(say("copy_message")):
    st.code(say("message_to_copy"), language=None, wrap_lines=True)
with st.container(horizontal=True):
    for reason in ("window_closing", "window_closed", "hidden", "phone_not_known"):
        st.metric(
            word(reason),
            words.number(by_reason.get(reason, 0)),
            help=words.explained(reason),
            border=True,
        )

left, right = st.columns([2, 1], vertical_alignment="bottom")
reasons = left.multiselect(say("capture_reason"), list(by_reason), format_func=word)
opted_out = right.checkbox(say("also_opted_out"), value=True)
filters = {"portfolio_id": portfolio, "reasons": tuple(reasons), "with_opted_out": opted_out}
style.listing(queries.CAPTURE, filters, "phone_capture_worklist")
