"""Questions that the rules leave to a person: both sides, the answer, and what was decided."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import access, data, decisions, mask, queries, style, words
from dashboard.words import day, moment, number, say, word
from orchestration.explain import landed_at
from orchestration.settings import Settings, UserError

MOST_DECIDED = 20
# What a question's answers are called in identity_overrides.csv.
ANSWERS = {"same": "must_link", "different": "cannot_link"}
CONFIRM = "confirming"  # the session's answer that waits for a second click


def title(question: NamedTuple) -> str:
    """A question as one line."""
    sides = [
        one if isinstance(one, str) else other
        for one, other in (
            (question.left_name, question.left_value),
            (question.right_name, question.right_value),
        )
        if isinstance(other, str)
    ]
    return f"{word(question.kind)}: {' – '.join(dict.fromkeys(sides))}"


def described(kind: str) -> str:
    """What a kind of question means and what a careful person would do."""
    advice = say("advice", do=say(f"{kind}_do")) if f"{kind}_do" in words.catalogue() else ""
    return f"{words.explained(kind) or ''} {advice}"


def name_of(question: NamedTuple, side: str) -> str:
    """What to call a side, safe in Markdown: the profile name, else the identifier."""
    name = getattr(question, f"{side}_name")
    return style.plain(name if isinstance(name, str) else getattr(question, f"{side}_value"))


def sides(question: NamedTuple) -> dict[str, object]:
    """Both sides beside each other; returns the customers by key."""
    keys = tuple(
        key
        for key in (question.left_customer_key, question.right_customer_key)
        if isinstance(key, str)
    )
    people = data.rows(queries.SIDES, customer_keys=keys).set_index("customer_key")
    held = data.rows(queries.HELD, customer_keys=keys)
    for column, side in zip(st.columns(2), ("left", "right"), strict=True):
        kind, value = getattr(question, f"{side}_type"), getattr(question, f"{side}_value")
        key = getattr(question, f"{side}_customer_key")
        if not isinstance(value, str):
            continue
        with column.container(border=True):
            st.markdown(f"**{say('first_side' if side == 'left' else 'second_side')}**")
            st.markdown(f"{word(kind)} **{style.plain(value)}**")
            if key not in people.index:
                continue
            who = people.loc[key]
            name = who.profile_name if isinstance(who.profile_name, str) else say("no_name")
            st.markdown(f"##### {style.plain(name)}")
            last = say("never") if pd.isna(who.last_inbound_at) else moment(who.last_inbound_at)
            st.write(
                say(
                    "side_messages",
                    inbound=number(int(who.inbound_message_count)),
                    outbound=number(int(who.outbound_message_count)),
                    last=last,
                )
            )
            for one in held[held["customer_key"] == key].head(8).itertuples():
                begin, end = day(one.valid_from), day(one.valid_to)
                st.markdown(
                    f"{word(one.identifier_type)} {style.plain(one.identifier_value)}, "
                    f"{begin} – {end}"
                )
            st.page_link(
                "views/customer.py", label=f"{say('see_customer')} →", query_params={"id": key}
            )
    return people.to_dict("index")


def evidence(question: NamedTuple) -> None:
    """What was seen, as a sentence; where it lies, when asked for."""
    event = question.evidence_event_id
    st.caption(
        say(
            "evidence_text",
            count=number(int(question.occurrence_count)),
            first=say("never")
            if pd.isna(question.first_seen_at)
            else moment(question.first_seen_at),
            last=say("never") if pd.isna(question.last_seen_at) else moment(question.last_seen_at),
            event=style.plain(event),
        )
    )
    # Not before somebody asks: while the pages read the warehouse, no run can begin.
    if st.button(say("where_is_it"), type="tertiary", key=f"where_{question.review_id}"):
        [real] = raw("evidence_event_id", question.review_id)
        where = landed_at(Settings.of_readers().warehouse_path, [real]).get(real)
        st.caption(say("where_it_is", where=where) if where else say("where_unknown"))


def raw(column: str, *review_ids: str) -> list[str]:
    """Values of questions as they are, unmasked: to be written or looked up, not shown."""
    found = data.read_unmasked(queries.REVIEW_RAW, review_ids=list(review_ids))
    return list(found.set_index("review_id").loc[list(review_ids), column])


def effect(question: NamedTuple, decision: str, people: dict[str, object]) -> str:
    """What an answer changes, in a sentence."""
    left, right = name_of(question, "left"), name_of(question, "right")
    keys = question.left_customer_key, question.right_customer_key
    is_one = keys[0] == keys[1]
    if decision == "must_link":
        if is_one:
            return say("will_stay_joined", left=left)
        total = sum(
            one["inbound_message_count"] + one["outbound_message_count"] for one in people.values()
        )
        return say("will_join", left=left, right=right, messages=number(int(total)))
    if not is_one:
        return say("will_stay_apart", left=left, right=right)
    [row] = data.read_unmasked(queries.REVIEW_RAW, review_ids=[question.review_id]).itertuples()
    known = data.explanation(data.version(), keys[0])
    found = decisions.parts(known, node(row, "left"), node(row, "right"))
    if found is None:
        return say("will_not_part", left=left)
    named = [
        ", ".join(style.plain(data.shown(mask.node, one)) for one in sorted(part)) for part in found
    ]
    return say("will_part", left=left, left_names=named[0], right_names=named[1])


def node(question: NamedTuple, side: str) -> str:
    """A side as identity_link names it."""
    kind, value = getattr(question, f"{side}_type"), getattr(question, f"{side}_value")
    at = getattr(question, f"{side}_at")
    return f"{kind}:{value}" if pd.isna(at) else f"{kind}:{value}@{at:%Y-%m-%d %H:%M:%S}Z"


def who_and_why() -> tuple[str, str]:
    """Who answers and how they know. Whoever is logged in cannot be somebody else."""
    left, right = st.columns(2)
    email = access.decider()
    if email:
        left.text_input(say("your_name"), email, disabled=True)
        author = email
    else:
        author = left.text_input(
            say("your_name"),
            placeholder=say("your_name_placeholder"),
            key="author",
            persist_state="session",
        ).strip()
    reason = right.text_input(
        say("reason"), placeholder=say("reason_placeholder"), key="reason"
    ).strip()
    return author, reason


def save(answers: list[tuple[str, str]], author: str, reason: str) -> None:
    """Adds the rows of these (review_id, decision); called by a button, so checked again."""
    if access.decider() is None:
        return
    try:
        rows = raw("override_row", *(review_id for review_id, _ in answers))
        decisions.append(
            [
                decisions.answer(row, decision, author, reason)
                for row, (_, decision) in zip(rows, answers, strict=True)
            ]
        )
    except (OSError, UserError) as error:
        st.session_state.said = str(error)
        return
    st.session_state.said = say("saved")
    st.session_state.pop(CONFIRM, None)
    st.session_state.pop("reason", None)


def put_off(review_id: str, author: str) -> None:
    """Hides the question for a while: for all where that can be written, else for this session."""
    st.session_state.setdefault("put_off", set()).add(review_id)
    if may_write and author:
        until = decisions.put_off(review_id, author)
        st.session_state.said = say("later_done", date=day(until))


def answer(question: NamedTuple) -> None:
    """One question with all that is known, and how to answer it."""
    st.subheader(style.plain(title(question)))
    st.write(described(question.kind))
    people = sides(question)
    evidence(question)
    if not isinstance(question.override_row, str):
        st.info(say("cannot_answer"))
        return
    author, reason = who_and_why()
    with st.container(horizontal=True):
        for name in ANSWERS:
            if st.button(say(name), key=name, disabled=not may_write):
                st.session_state[CONFIRM] = (question.review_id, ANSWERS[name])
        st.button(say("later"), key="later", on_click=put_off, args=(question.review_id, author))
    if not may_write:
        for name, decision in ANSWERS.items():
            row = decisions.answer(question.override_row, decision, author, reason)
            st.caption(f"{say('row_to_copy')} {say(name)}")
            st.code(decisions.as_line(row), language=None, wrap_lines=True)
        if "•" in question.override_row:
            st.caption(say("row_masked"))
        return
    waiting, decision = st.session_state.get(CONFIRM, ("", ""))
    if waiting != question.review_id:
        return
    with st.container(border=True):
        st.markdown(f"**{say('confirm_title')}: {word(decision)}**")
        st.markdown(effect(question, decision, people))
        if not (author and reason):
            st.caption(say("fill_in"))
        with st.container(horizontal=True):
            st.button(
                say("confirm"),
                type="primary",
                key="confirm",
                disabled=not (author and reason),
                on_click=save,
                args=([(question.review_id, decision)], author, reason),
            )
            st.button(say("cancel"), key="cancel", on_click=st.session_state.pop, args=(CONFIRM,))


def bulk(questions: pd.DataFrame) -> None:
    """The same answer for several questions of one kind."""
    answerable = questions[questions["override_row"].notna()]
    if len(answerable) < 2 or not may_write:
        return
    with st.expander(say("bulk")):
        kinds = list(dict.fromkeys(answerable["kind"]))
        kind = st.selectbox(say("bulk_kind"), kinds, format_func=word, key="bulk_kind")
        of_kind = {one.review_id: one for one in answerable.itertuples() if one.kind == kind}
        st.write(described(kind))
        which = st.multiselect(
            say("bulk_which"),
            list(of_kind),
            format_func=lambda one: title(of_kind[one]) if one in of_kind else one,
            key=f"bulk_{kind}",
        )
        name = st.radio(say("bulk_answer"), list(ANSWERS), format_func=say, horizontal=True)
        author, reason = st.session_state.get("author", ""), st.session_state.get("bulk_reason", "")
        left, right = st.columns(2)
        email = access.decider()
        author = email or left.text_input(say("your_name"), author, key="bulk_author").strip()
        reason = right.text_input(say("reason"), key="bulk_reason").strip()
        for one in which[:MOST_DECIDED]:
            people = {
                key: row
                for key, row in data.rows(
                    queries.SIDES,
                    customer_keys=(of_kind[one].left_customer_key, of_kind[one].right_customer_key),
                )
                .set_index("customer_key")
                .to_dict("index")
                .items()
            }
            st.caption(effect(of_kind[one], ANSWERS[name], people))
        st.markdown(say("bulk_effect", count=number(len(which)), answer=say(name)))
        st.button(
            say("bulk_save"),
            key="bulk_save",
            disabled=not (which and author and reason),
            on_click=save,
            args=([(one, ANSWERS[name]) for one in which], author, reason),
        )


def undo(line: str) -> None:
    """Takes the row out again."""
    if access.decider() is None:
        return
    try:
        decisions.undo(line)
        st.session_state.said = say("undone")
    except (OSError, UserError) as error:
        st.session_state.said = str(error)


def decided(rows: list[decisions.Decision], published_at: pd.Timestamp) -> None:
    """What was decided, by whom, and the way back."""
    st.subheader(say("decided"))
    if not rows:
        st.caption(say("nothing_decided"))
    for place, one in enumerate(rows[:MOST_DECIDED]):
        fields = one.fields
        values = [
            style.plain(
                data.shown(mask.identifier, fields[f"{side}_type"], fields[f"{side}_value"])
            )
            for side in ("left", "right")
        ]
        when = pd.to_datetime(fields["decided_at"], errors="coerce")
        state = say("from_next_run" if when > published_at else "in_force")
        reason = style.plain(data.shown(mask.text, fields["reason"]))
        said = f"**{word(fields['decision'])}**: {' – '.join(values)}  \n"
        said += f"{style.plain(fields['author'])}, {day(when)}, {state}: {reason}"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(said, width="stretch")
            st.button(
                say("undo"),
                key=f"undo_{place}",
                on_click=undo,
                args=(one.line,),
                disabled=not may_write,
            )


portfolio = st.session_state.portfolio_id
kinds = data.rows(queries.REVIEW_KINDS, portfolio_id=portfolio)
[published] = data.rows(queries.PUBLICATION).itertuples()
may_write = access.decider() is not None and decisions.is_writable()
rows = decisions.decided()

st.title(say("review"))
st.write(say("review_intro"))
if said := st.session_state.pop("said", ""):
    st.success(said)
if access.decider() is None:
    st.info(say("only_viewer"))
elif not may_write:
    st.info(say("no_write_access", path=decisions.path()))
elif decisions.is_sample():
    st.caption(say("sample_seeds", path=decisions.path()))

left, right = st.columns(2)
counts = dict(zip(kinds["kind"], kinds["questions"], strict=True))
chosen = left.multiselect(
    say("kind"), list(counts), format_func=lambda kind: f"{word(kind)} ({counts.get(kind, 0)})"
)
text = right.text_input(
    say("search_review"),
    st.query_params.get("q", ""),
    help=say("search_review_help"),
    key="searched",
    live=True,
).strip()

pairs = tuple(
    decisions.pair(one.fields)
    for one in rows
    if pd.to_datetime(one.fields["decided_at"], errors="coerce") > published.published_at
)
done = set(data.rows(queries.REVIEW_ANSWERED, pairs=pairs)["review_id"]) if pairs else set()
later = decisions.waiting() | st.session_state.get("put_off", set())
if done:
    st.caption(say("answered_waiting", count=number(len(done))))
if later and not st.toggle(say("show_put_off"), key="show_put_off"):
    st.caption(say("put_off", count=number(len(later))))
    done |= later

is_plain = Settings.of_readers().show_pii or not any(sign.isdigit() for sign in text)
filters = {
    "portfolio_id": portfolio,
    "kinds": tuple(chosen),
    "text": data.plain_text(text),
    "by_part": is_plain,
    "phones": data.phones_of(text)["phones"],
    "hidden": tuple(sorted(done)),
}
[total] = data.rows(queries.REVIEW_COUNT, **filters)["questions"]
questions = data.rows(queries.REVIEW, **filters)
if questions.empty:
    st.info(say("no_questions"))
else:
    more = "open_questions_more" if total > len(questions) else "open_questions"
    st.write(say(more, count=number(total), shown=number(len(questions))))
    titles = {one.review_id: title(one) for one in questions.itertuples()}
    review_id = st.selectbox(
        say("choose_question"), list(titles), format_func=lambda one: titles.get(one, one)
    )
    answer(next(questions[questions["review_id"] == review_id].itertuples()))
    bulk(questions)
    with st.expander(say("as_a_table")):
        style.table(
            questions, ["kind", "left_name", "right_name", "subject", "score", "last_seen_at"]
        )
decided(rows, published.published_at)
