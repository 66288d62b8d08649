"""One customer: found by anything they ever went by, and why they are one."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import data, graph, mask, queries, style
from orchestration.explain import NOBODY, RULES, TIERS, Explanation, Identifier, Unknown, moment

MOST_IDENTIFIERS = 200


def choose(found: list[tuple[str, str]]) -> str:
    """The key of one of those found, today's holder first."""
    names = data.rows(queries.NAMES, customer_keys=tuple(key for key, _ in found)).set_index(
        "customer_key"
    )
    how = dict(found)
    if len(found) == 1:
        return found[0][0]
    return st.selectbox(
        f"{len(found)} customers held it, today's holder first",
        list(how),
        format_func=lambda key: (
            f"{names.profile_name[key] or 'No name'} ({style.word(names.identity_stage[key])}), "
            f"{how[key]}, portfolio {names.portfolio_id[key]}"
        ),
    )


def profile(customer: dict[str, object]) -> None:
    """What is known of the customer today."""
    st.header(style.plain(data.shown(mask.text, customer["profile_name"]) or "No profile name"))
    with st.container(horizontal=True):
        st.metric("Stage", style.word(customer["identity_stage"]))
        st.metric("Phone", style.word(customer["phone_status"]))
        st.metric("Messages in", style.number(customer["inbound_message_count"]))
        st.metric("Messages out", style.number(customer["outbound_message_count"]))
        st.metric("First seen", f"{customer['first_seen_at']:%Y-%m-%d}")
        st.metric("Last seen", f"{customer['last_seen_at']:%Y-%m-%d}")
    flags = {
        "holder_changed": "lost a number to somebody else",
        "needs_review": "is part of an open question",
        "marketing_opt_out": "opted out of marketing",
        "is_contactable_outside_whatsapp": "may be called or texted outside WhatsApp",
    }
    said = [sentence for name, sentence in flags.items() if customer[name]]
    st.caption(
        f"Customer key {customer['customer_key']}, portfolio {customer['portfolio_id']}"
        + "".join(f"; {sentence}" for sentence in said)
    )


def held(identifiers: list[Identifier], called: dict[tuple[str, str], str]) -> pd.DataFrame:
    """The identifiers as a table, newest first."""
    return pd.DataFrame(
        {
            "Type": style.word(one.kind),
            "Identifier": called[one.kind, one.value],
            "From": moment(one.valid_from),
            "To": moment(one.valid_to),
            "Why": f"{one.link_rule}: {RULES.get(one.link_rule, '')}",
            "Evidence": TIERS[one.evidence_tier],
            "Seen": one.observation_count,
            "First event": data.shown(mask.event, one.evidence_event_id),
        }
        for one in reversed(identifiers)
    )


def reasons(known: Explanation) -> pd.DataFrame:
    """The links as a table."""
    return pd.DataFrame(
        {
            "One side": data.shown(mask.node, link.left_node_id),
            "Other side": data.shown(mask.node, link.right_node_id),
            "Why": f"{link.link_rule}: {RULES.get(link.link_rule, '')} ({link.link_detail})",
            "Evidence": f"tier {link.evidence_tier}, {TIERS[link.evidence_tier]}",
            "When": moment(link.linked_at),
            "Event": data.shown(mask.event, link.evidence_event_id),
        }
        for link in known.links[: graph.MOST_LINKS]
    )


def draw(key: str) -> None:
    """Everything about one customer."""
    known = data.explanation(data.version(), key)
    messages = data.rows(queries.MESSAGES, customer_key=key)
    [published] = data.rows(queries.PUBLICATION).itertuples()

    def shown(kind: str, value: str) -> str:
        return data.shown(mask.identifier, kind, value)

    profile(known.customer)
    st.subheader("Identifiers over time")
    identifiers = known.identifiers[-MOST_IDENTIFIERS:]
    called = graph.names(identifiers, shown)
    st.altair_chart(graph.timeline(identifiers, messages, published.as_of, called), width="stretch")
    style.table(held(identifiers, called))

    st.subheader("Why they are one")
    st.graphviz_chart(graph.dot(known, shown))
    if known.links:
        style.table(reasons(known))
        if len(known.links) > graph.MOST_LINKS:
            st.caption(f"The first {graph.MOST_LINKS} of {len(known.links)} links are shown.")
        row = known.weakest.cannot_link(known.customer["portfolio_id"])
        st.write(
            f"Weakest link: {known.weakest.link_rule}, tier {known.weakest.evidence_tier}. This row "
            "of `identity_overrides.csv` cuts it (say who, when and why):"
        )
        st.code(data.shown(mask.override, row), language=None, wrap_lines=True)
    else:
        st.caption("Nothing was joined: one BSUID or one stretch of phone-only history.")
    for kind, decision in known.questions:
        st.warning(f"Open question: {style.word(kind)}: {decision}")

    st.subheader("Messages")
    style.table(messages)
    if len(messages) == 500:
        st.caption("The newest 500 messages are shown.")
    st.subheader("Business numbers that know them")
    style.table(data.rows(queries.WINDOWS, customer_key=key))


st.title("Customer")
asked = st.text_input(
    "Phone in any format, BSUID, username, message id or customer key",
    st.query_params.get("id", ""),
    placeholder="+55 11 90000-0000",
).strip()
if asked:
    try:
        found = data.find(data.version(), asked)
        if found:
            draw(choose(found))
        else:
            st.info(style.plain(NOBODY.format(identifier=asked)))
    except Unknown as error:
        st.info(style.plain(error))
