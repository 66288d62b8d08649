"""What the CRM believes of its contacts, held against what the webhooks show."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import data, queries, style, words
from dashboard.words import say

portfolio = st.session_state.portfolio_id
verdicts = data.rows(queries.CRM_VERDICTS, portfolio_id=portfolio)

st.title(say("crm"))
st.write(say("crm_intro"))
if verdicts.empty:
    st.info(say("no_crm"))
    st.stop()

with st.container(horizontal=True):
    for row in verdicts.itertuples():
        st.metric(
            style.value("verdict", row.verdict),
            words.number(row.contacts),
            help=words.explained(row.verdict),
            border=True,
        )

left, right = st.columns(2)
chosen = left.multiselect(
    say("verdict"), list(verdicts["verdict"]), format_func=partial(style.value, "verdict")
)
text = right.text_input(
    say("crm_search"), help=say("crm_search_help"), key="searched", live=True
).strip()
filters = {
    "portfolio_id": portfolio,
    "verdicts": tuple(chosen),
    "text": text,
    **data.phones_of(text),
}
order = ["customer_key", "crm_contact_id", "verdict", "crm_phone", "current_phone_e164"]
order += ["current_username", "phone_status", "marketing_opt_out", "current_bsuid", "portfolio_id"]
style.listing(queries.CRM, filters, "crm_contact_audit", for_import=True, order=order)
