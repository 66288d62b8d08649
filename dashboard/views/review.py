"""Open questions for a person: both sides, the suggestion, and the override row to copy."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import NamedTuple

import streamlit as st

from dashboard import data, queries, style

SIDES = {"left": "First side", "right": "Second side"}


def filled(override_row: str, author: str, reason: str) -> str:
    """The row with who decided, when (UTC) and why."""
    fields = next(csv.reader([override_row]))
    fields[8:11] = [author, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", reason]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def answer(question: NamedTuple) -> None:
    """One question with all that is known, and how to answer it."""
    st.subheader(style.word(question.kind))
    st.write(f"Suggested: {question.suggested_decision}")
    for column, (side, title) in zip(st.columns(2), SIDES.items(), strict=True):
        kind, value = getattr(question, f"{side}_type"), getattr(question, f"{side}_value")
        key = getattr(question, f"{side}_customer_key")
        if isinstance(value, str):
            column.text(f"{title}: {style.word(kind)} {value}")
        if isinstance(key, str):
            column.page_link(
                "views/customer.py", label="See this customer", query_params={"id": key}
            )
    about = {
        "About": question.subject,
        "Score": f"{question.score:.2f}",
        "Times seen": question.occurrence_count,
        "Last seen": question.last_seen_at,
        "Evidence": question.evidence_event_id,
    }
    st.text("\n".join(f"{name}: {value}" for name, value in about.items() if value == value))
    if not isinstance(question.override_row, str):
        st.caption("No override answers this; do what is suggested.")
        return
    left, right = st.columns(2)
    author = left.text_input("Who decides", placeholder="your name", key="author")
    reason = right.text_input("Why", placeholder="what you learnt, and the ticket", key="reason")
    st.write("If so, add this row to `identity_overrides.csv`:")
    st.code(filled(question.override_row, author, reason), language=None, wrap_lines=True)
    if "•" in question.override_row:
        st.caption("The phone is masked: the row works only as SHOW_PII=1 shows it.")


portfolio = st.session_state.portfolio_id
kinds = data.rows(queries.REVIEW_KINDS, portfolio_id=portfolio)

st.title("Review queue")
st.write("What the rules leave to a person. An answer is a row of `identity_overrides.csv`.")
if kinds.empty:
    st.info("No open question.")
    st.stop()

left, middle, right = st.columns(3)
counts = dict(zip(kinds["kind"], kinds["questions"], strict=True))
chosen = left.multiselect(
    "Kind", list(counts), format_func=lambda kind: f"{style.word(kind)} ({counts.get(kind, 0)})"
)
text = middle.text_input(
    "Phone, BSUID, username or customer key", help="Or a part of it.", key="searched"
).strip()
least = right.slider("Score at least", 0.0, 1.0, 0.0, 0.1)
filters = {
    "portfolio_id": portfolio,
    "kinds": tuple(chosen),
    "text": text,
    "least_score": least,
}
[total] = data.rows(queries.REVIEW_COUNT, **filters)["questions"]
questions = data.rows(queries.REVIEW, **filters)
st.write(
    f"**{style.number(total)}** open questions"
    + (f", the {len(questions)} with the highest scores shown" if total > len(questions) else "")
)
if questions.empty:
    st.stop()
style.table(
    questions,
    ["kind", "left_value", "right_value", "subject", "suggested_decision", "score", "last_seen_at"],
)
names = dict(
    zip(
        questions["review_id"],
        questions["kind"].map(style.word)
        + ": "
        + questions["left_value"].fillna("")
        + questions["right_value"]
        .map(lambda value: f" and {value}", na_action="ignore")
        .fillna(""),
        strict=True,
    )
)
review_id = st.selectbox("Question", list(names), format_func=lambda name: names.get(name, name))
answer(next(questions[questions["review_id"] == review_id].itertuples()))
