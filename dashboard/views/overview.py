"""How far the change from phone numbers to WhatsApp IDs has come, and what to do this week."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard import data, queries, style, words
from dashboard.words import say

portfolio = st.session_state.portfolio_id
[now] = data.rows(queries.CUSTOMERS, portfolio_id=portfolio).itertuples()
[tasks] = data.rows(queries.TASKS, portfolio_id=portfolio).itertuples()
[published] = data.rows(queries.PUBLICATION).itertuples()
kinds = data.rows(queries.REVIEW_KINDS, portfolio_id=portfolio)
readiness = data.rows(queries.READINESS, portfolio_id=portfolio)["readiness"]
not_ready = int(readiness.isin(["partly", "not_ready"]).sum())

st.title(say("overview"))
if not now.customers:
    st.info(say("no_customers"))


def task(label: str, count: int, note: str, page: str) -> None:
    """A task with its count, which leads to its list."""
    with st.container(border=True, height="stretch"):
        st.metric(say(label), words.number(count))
        st.caption(note)
        st.page_link(f"views/{page}.py", label=f"{say('open_list')} →")


def compared(weeks: dict[int, object], name: str, part_of: str | None = None) -> dict[str, object]:
    """Value and change of a metric: a number, or a share in percentage points."""
    this, before = weeks.get(0), weeks.get(1)
    if this is None:
        return {"value": "–"}
    if part_of is None:
        value = words.number(int(this[name]))
        if before is None:
            return {"value": value}
        return {"value": value, "delta": int(this[name] - before[name])}
    value = words.share(this[name], this[part_of])
    if before is None or not (this[part_of] and before[part_of]):
        return {"value": value}
    points = 100 * (this[name] / this[part_of] - before[name] / before[part_of])
    return {"value": value, "delta": f"{points:+.1f} pp" if abs(points) >= 0.05 else "0"}


st.subheader(say("this_week"))
first, second, third = st.columns(3)
with first:
    soon = words.day(published.as_of + timedelta(days=7))
    urgent = words.number(tasks.to_ask_soon)
    task(
        "task_capture", tasks.to_ask, say("task_capture_note", urgent=urgent, date=soon), "capture"
    )
with second:
    fresh = words.number(tasks.new_questions)
    task(
        "task_review", int(kinds["questions"].sum()), say("task_review_note", fresh=fresh), "review"
    )
with third:
    note = say("task_numbers_note", all=words.number(len(readiness)))
    task("task_numbers", not_ready, note, "numbers")

st.subheader(say("how_far"))
st.write(
    say(
        "how_far_text",
        linked=words.number(now.linked),
        customers=words.number(now.customers),
        share=words.share(now.linked, now.customers),
        phone_only=words.number(now.phone_only),
        bsuid_only=words.number(now.bsuid_only),
    )
)
last = data.rows(queries.LAST_WEEKS, portfolio_id=portfolio).fillna(0).to_dict("records")
weeks = {int(week["weeks_ago"]): week for week in last}
against = {"delta_description": say("vs_last_week"), "delta_color": "off", "border": True}
with st.container(horizontal=True):
    for label, name, part_of in (
        ("share_linked", "linked", "customers"),
        ("share_username", "with_username", "customers"),
        ("at_risk", "at_risk", None),
        ("hidden_messages", "hidden_messages", "messages"),
    ):
        found = compared(weeks, name, part_of)
        st.metric(say(label), **found, **against, help=words.explained(label))

[days] = data.rows(queries.DAYS).itertuples()
if days.last_day == days.last_day and days.last_day is not None:
    begin = max(days.first_day, days.last_day - timedelta(days=182))
    chosen = st.date_input(
        say("period"),
        (begin.date(), days.last_day.date()),
        min_value=days.first_day.date(),
        max_value=days.last_day.date(),
        format="DD/MM/YYYY",
        key="period",
        width=280,
    )
    first_day, last_day = chosen if len(chosen) == 2 else (begin.date(), days.last_day.date())
    drawn = data.rows(
        queries.TRANSITION_WEEKLY, portfolio_id=portfolio, first_day=first_day, last_day=last_day
    )
    left, right = st.columns(2)
    with left:
        st.markdown(f"##### {say('by_stage')}")
        style.weekly(drawn, ["phone_only", "linked", "bsuid_only"], stacked=True)
    with right:
        st.markdown(f"##### {say('numbers_today')}")
        by_status = data.rows(queries.BY_PHONE_STATUS, portfolio_id=portfolio)
        style.bars(by_status, "phone_status", "customers")
    left, right = st.columns(2)
    with left:
        st.markdown(f"##### {say('inbound')}")
        style.weekly(drawn, ["phone_shown", "phone_not_shown"], stacked=True)
    with right:
        st.markdown(f"##### {say('usernames_and_risk')}")
        style.weekly(drawn, ["with_username", "at_risk"], stacked=False)
    left, right = st.columns(2)
    with left:
        st.markdown(f"##### {say('changes')}")
        style.weekly(drawn, ["rotations", "possible_missed_rotations"], stacked=True)
    with right:
        st.markdown(f"##### {say('questions_by_kind')}")
        style.bars(kinds, "kind", "questions", style.PURPLE)
    st.caption(say("newest_week", date=words.day(last_day)))
