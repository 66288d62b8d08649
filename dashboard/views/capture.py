"""Whom to ask for their phone number, and by when."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

MOST_ROWS, MOST_DOWNLOADED = 500, 100_000

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
rows = data.rows(queries.CAPTURE, **filters, most=MOST_ROWS)
if rows.empty:
    st.info("Nobody has to be asked.")
    st.stop()

st.download_button(
    "Download the list (CSV)",
    lambda: data.csv(data.rows(queries.CAPTURE, **filters, most=MOST_DOWNLOADED)),
    "phone_capture_worklist.csv",
    "text/csv",
    on_click="ignore",
)
st.dataframe(
    rows.assign(
        capture_reason=rows["capture_reason"].map(style.word),
        customer_key="customer?id=" + rows["customer_key"],
    ),
    hide_index=True,
    placeholder="",
    column_config={
        "priority": "Priority",
        "profile_name": "Name",
        "username": "Username",
        "current_bsuid": "BSUID",
        "capture_reason": "Reason",
        "ask_before": "Ask before",
        "last_inbound_at": "Last wrote",
        "inbound_message_count": "Messages",
        "marketing_opt_out": "Opted out",
        "portfolio_id": "Portfolio",
        "customer_key": st.column_config.LinkColumn("Customer", display_text="open"),
    },
)
if len(rows) == MOST_ROWS:
    st.caption(
        f"The first {MOST_ROWS} are shown; the download holds the first {MOST_DOWNLOADED:,}; all are "
        "in phone_capture_worklist.parquet."
    )
