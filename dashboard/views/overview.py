"""Who the customers are, and how far the change from phone numbers to BSUIDs has come."""

from __future__ import annotations

import streamlit as st

from dashboard import data, queries, style

portfolio = st.session_state.portfolio_id
[now] = data.rows(queries.CUSTOMERS, portfolio_id=portfolio).itertuples()
weeks = data.rows(queries.TRANSITION_WEEKLY, portfolio_id=portfolio)
kinds = data.rows(queries.REVIEW_KINDS, portfolio_id=portfolio)

st.title("Overview")
if not now.customers:
    st.info("No customers yet: no webhook published so far names one.")

with st.container(horizontal=True):
    st.metric("Customers", style.number(now.customers))
    st.metric(
        "Linked",
        style.share(now.linked, now.customers),
        help="Known by BSUID and phone: they stay one customer when the phone goes.",
    )
    st.metric(
        "With username",
        style.share(now.with_username, now.customers),
        help="Who takes a username may hide the phone.",
    )
    st.metric(
        "Phone at risk",
        style.number(now.at_risk),
        help="Username and phone: the phone may vanish from webhooks.",
    )
    st.metric(
        "Phone hidden",
        style.number(now.hidden),
        help="The newest message came without the phone that is on record.",
    )
    st.metric("In review", style.number(now.in_review), help="Customers in an open question.")

left, right = st.columns(2)
with left:
    st.subheader("Customers by identity stage")
    style.weekly(weeks, ["phone_only", "linked", "bsuid_only"], stacked=True)
with right:
    st.subheader("Phone numbers today")
    style.bars(
        data.rows(queries.BY_PHONE_STATUS, portfolio_id=portfolio), "phone_status", "customers"
    )
left, right = st.columns(2)
with left:
    st.subheader("Usernames, and phones at risk")
    style.weekly(weeks, ["with_username", "at_risk"], stacked=False)
with right:
    st.subheader("Inbound messages")
    style.weekly(weeks, ["phone_shown", "phone_not_shown"], stacked=True)
left, right = st.columns(2)
with left:
    st.subheader("Changes of BSUID or number")
    style.weekly(weeks, ["rotations", "possible_missed_rotations"], stacked=True)
with right:
    st.subheader("Review queue")
    style.bars(kinds, "kind", "questions", style.PURPLE)
if len(weeks) == 104:
    st.caption("The charts show the last 104 weeks.")
