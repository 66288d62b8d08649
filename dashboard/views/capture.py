"""Whom to ask for their phone number, and by when."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

portfolio = st.session_state.portfolio_id
counts = data.rows(queries.CAPTURE_REASONS, portfolio_id=portfolio)
by_reason = dict(zip(counts["capture_reason"], counts["customers"], strict=True))

st.title("Phone capture")
st.write(
    "Customers whose number WhatsApp need not show any more, the most urgent first. Ask them for it "
    "in the chat, with a contact request."
)
with st.container(horizontal=True):
    for reason in ("window_closing", "hidden", "phone_not_known"):
        st.metric(style.word(reason), style.number(by_reason.get(reason, 0)))

left, right = st.columns([2, 1], vertical_alignment="bottom")
reasons = left.multiselect("Reason", list(by_reason), format_func=style.word)
opted_out = right.checkbox("Also who opted out of marketing", value=True)
filters = {"portfolio_id": portfolio, "reasons": tuple(reasons), "with_opted_out": opted_out}
style.listing(queries.CAPTURE, filters, "phone_capture_worklist")
