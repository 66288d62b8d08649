"""What the CRM believes of its contacts, held against what the webhooks show."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

MOST_ROWS, MOST_DOWNLOADED = 500, 100_000

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
rows = data.rows(queries.CRM, **filters, most=MOST_ROWS)
if rows.empty:
    st.info("No contact fits.")
    st.stop()

st.download_button(
    "Download the list (CSV)",
    lambda: data.csv(data.rows(queries.CRM, **filters, most=MOST_DOWNLOADED)),
    "crm_contact_audit.csv",
    "text/csv",
    on_click="ignore",
)
st.dataframe(
    rows.assign(
        verdict=rows["verdict"].map(style.word),
        phone_status=rows["phone_status"].map(style.word, na_action="ignore"),
        customer_key="customer?id=" + rows["customer_key"],
    ),
    hide_index=True,
    placeholder="",
    column_config={
        "crm_contact_id": "Contact",
        "portfolio_id": "Portfolio",
        "crm_phone": "Phone in the CRM",
        "verdict": "Verdict",
        "verdict_reason": "In words",
        "current_phone_e164": "Phone now",
        "current_bsuid": "BSUID",
        "current_username": "Username",
        "phone_status": "Phone status",
        "marketing_opt_out": "Opted out",
        "customer_key": st.column_config.LinkColumn("Customer", display_text="open"),
    },
)
if len(rows) == MOST_ROWS:
    st.caption(
        f"The first {MOST_ROWS} are shown; the download holds the first {MOST_DOWNLOADED:,}; all are "
        "in crm_contact_audit.parquet."
    )
