"""What the CRM believes of its contacts, held against what the webhooks show."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

portfolio = st.session_state.portfolio_id
verdicts = data.rows(queries.CRM_VERDICTS, portfolio_id=portfolio)

st.title("CRM audit")
st.write(
    "Each contact of `crm_contacts.csv` beside the customer it is. The download is a crosswalk that "
    "the CRM can import back: its ids and ours."
)
if verdicts.empty:
    st.info("No CRM contacts yet: put them into crm_contacts.csv in SEEDS_DIR and run again.")
    st.stop()

with st.container(horizontal=True):
    for row in verdicts.itertuples():
        st.metric(style.word(row.verdict), style.number(row.contacts))

left, right = st.columns(2)
chosen = left.multiselect("Verdict", list(verdicts["verdict"]), format_func=style.word)
text = right.text_input(
    "Contact id or phone", help="Or a part of it, as the CRM writes it.", key="searched"
).strip()
filters = {"portfolio_id": portfolio, "verdicts": tuple(chosen), "text": text}
style.listing(queries.CRM, filters, "crm_contact_audit")
