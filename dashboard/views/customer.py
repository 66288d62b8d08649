"""One customer: found by name or by anything they ever went by, their story, and why they are one."""

from __future__ import annotations

import re
from datetime import date

import pandas as pd
import streamlit as st

from dashboard import data, graph, mask, queries, style, words
from dashboard.words import day, moment, number, say, word
from orchestration.explain import Explanation, Identifier, Unknown
from orchestration.settings import Settings

MOST_IDENTIFIERS = 200


def open_customer(key: str) -> None:
    """Shows this customer from now on: the address holds a key, never a name or a number."""
    st.query_params["id"] = key
    st.session_state.asked = ""


def how(found: data.Found) -> str:
    """Why a customer is among those found, as a sentence."""
    if found.begin is not None:
        begin, end = day(found.begin), day(found.end)
        return say("held_as", kind=word(found.kind), begin=begin, end=end)
    return say("found_message") if found.kind == "message" else ""


def suggest(found: list[data.Found]) -> None:
    """A button per customer found, today's holder first."""
    keys = tuple(one.customer_key for one in found[: data.MOST_FOUND])
    known = data.rows(queries.NAMES, customer_keys=keys).set_index("customer_key")
    businesses = data.names()["portfolio_id"]
    listed = st.container(border=True, gap="xxsmall")
    for one in found[: data.MOST_FOUND]:
        who = known.loc[one.customer_key]
        name = who.profile_name if isinstance(who.profile_name, str) else say("no_name")
        said = [
            f"@{who.username}" if isinstance(who.username, str) else "",
            who.wa_id if isinstance(who.wa_id, str) else "",
            how(one),
            say("last_wrote", date=day(who.last_inbound_at))
            if not pd.isna(who.last_inbound_at)
            else "",
            businesses.get(who.portfolio_id, who.portfolio_id),
        ]
        with listed.container(gap=None):
            st.button(
                f"**{style.plain(name)}**",
                key=f"found_{one.customer_key}",
                on_click=open_customer,
                args=(one.customer_key,),
                type="tertiary",
            )
            st.caption(" · ".join(style.plain(part) for part in said if part))


def search() -> None:
    """The search, with suggestions while one types."""
    left, right = st.columns([3, 1])
    asked = left.text_input(
        say("search"),
        key="asked",
        placeholder=say("search_placeholder"),
        help=None if Settings.of_readers().show_pii else say("search_masked_help"),
        live=True,
        autocomplete="off",
    ).strip()
    at = right.date_input(say("as_of"), None, key="at", help=say("as_of_help"), format="DD/MM/YYYY")
    if not asked:
        return
    try:
        found = data.search(asked, at, st.session_state.portfolio_id)
    except Unknown:
        st.info(say("message_without_customer", reason=data.unassigned(asked)))
        return
    except data.SlowDown as error:
        st.warning(str(error))
        return
    if found:
        suggest(found)
    elif at:
        st.info(say("nobody_then", asked=style.plain(asked), date=day(at)))
    else:
        st.info(say("nobody_found", asked=style.plain(asked)))


def story(known: Explanation, called: dict[tuple[str, str], str], at: date | None) -> list[str]:
    """The customer in sentences, as Markdown."""
    customer = known.customer

    def safe(one: Identifier) -> str:
        return style.plain(called[one.kind, one.value])

    told = [
        say("story_first", date=day(customer["first_seen_at"]), last=day(customer["last_seen_at"]))
    ]
    phones = [one for one in known.identifiers if one.kind == "phone"]
    for place, one in enumerate(phones):
        if one.valid_to is None:
            told.append(say("story_phone_now", phone=safe(one), date=day(one.valid_from)))
            continue
        then = phones[place + 1 :]
        ending = "story_phone_ended"
        if any(next_one.value != one.value for next_one in then):
            ending = "story_phone_changed"
        elif not then and customer["holder_changed"]:
            ending = "story_phone_lost"
        if then and then[0].value == one.value:
            continue  # the same number went on under another node
        told.append(
            say(
                "story_phone_past",
                phone=safe(one),
                begin=day(min(other.valid_from for other in phones if other.value == one.value)),
                end=day(one.valid_to),
                how=say(ending),
            )
        )
    if not phones:
        told.append(say("story_phone_none"))
    counts = {
        kind: len({one.value for one in known.identifiers if one.kind == kind})
        for kind in ("phone", "bsuid")
    }
    told.append(
        say(
            "story_known_by",
            phones=say("count_phones", count=counts["phone"]),
            bsuids=say("count_bsuids", count=counts["bsuid"]),
        )
    )
    told += [
        say("story_username", username=safe(one))
        for one in known.identifiers
        if one.kind == "username" and one.valid_to is None
    ]
    told.append(
        say(
            "story_messages",
            inbound=number(customer["inbound_message_count"]),
            outbound=number(customer["outbound_message_count"]),
        )
    )
    status = customer["phone_status"]
    help_text = words.explained(status) or ""
    told.append(say("story_status", status=word(status), help=help_text))
    flags = {
        "holder_changed": "story_holder_changed",
        "needs_review": "story_needs_review",
        "marketing_opt_out": "story_marketing_opt_out",
        "is_contactable_outside_whatsapp": "story_contactable",
    }
    told += [say(key) for name, key in flags.items() if customer[name]]
    if at:
        then = data.rows(queries.THEN, customer_key=customer["customer_key"], day=at)
        held = [
            f"{word(name)} **{style.plain(one)}**"
            for row in then.to_dict("records")
            for name, one in row.items()
            if isinstance(one, str)
        ]
        key = "story_then" if held else "story_then_unknown"
        told.append(say(key, date=day(at), names=", ".join(held)))
    return told


def held(identifiers: list[Identifier], called: dict[tuple[str, str], str]) -> pd.DataFrame:
    """The identifiers as a table, newest first."""
    return pd.DataFrame(
        {
            "type": word(one.kind),
            "identifier": called[one.kind, one.value],
            "from": moment(one.valid_from),
            "to": moment(one.valid_to),
            "why": f"{word(one.link_rule)} ({one.link_rule})",
            "evidence": say(f"tier_{one.evidence_tier}"),
            "seen": one.observation_count,
            "event": data.shown(mask.event, one.evidence_event_id),
        }
        for one in reversed(identifiers)
    )


def reasons(known: Explanation) -> pd.DataFrame:
    """The links as a table."""
    return pd.DataFrame(
        {
            "one_side": data.shown(mask.node, link.left_node_id),
            "other_side": data.shown(mask.node, link.right_node_id),
            "why": f"{word(link.link_rule)} ({link.link_rule}, {link.link_detail})",
            "evidence": say(f"tier_{link.evidence_tier}"),
            "when": moment(link.linked_at),
            "event": data.shown(mask.event, link.evidence_event_id),
        }
        for link in known.links[: graph.MOST_LINKS]
    )


def why(known: Explanation, shown) -> None:
    """The graph, its links, and how to cut the weakest."""
    st.subheader(say("why_one"))
    if not known.links:
        st.caption(say("nothing_joined"))
        return
    st.graphviz_chart(graph.dot(known, shown))
    if len(known.links) > graph.MOST_LINKS:
        all_links = number(len(known.links))
        st.caption(say("links_cut_off", shown=graph.MOST_LINKS, all=all_links))
    with st.expander(say("as_a_table")):
        style.table(reasons(known))
        row = known.weakest.cannot_link(known.customer["portfolio_id"])
        st.write(say("weakest_link", rule=word(known.weakest.link_rule)))
        st.code(data.shown(mask.override, row), language=None, wrap_lines=True)


def draw(key: str, at: date | None) -> None:
    """Everything about one customer."""
    known = data.explanation(data.version(), key)
    messages = data.rows(queries.MESSAGES, customer_key=key)
    [published] = data.rows(queries.PUBLICATION).itertuples()

    def shown(kind: str, value: str) -> str:
        return data.shown(mask.identifier, kind, value)

    identifiers = known.identifiers[-MOST_IDENTIFIERS:]
    called = graph.names(known.identifiers, shown)
    name = known.customer["profile_name"]
    st.header(style.plain(data.shown(mask.text, name) or say("no_name")))
    st.markdown(" ".join(story(known, called, at)))
    for kind, _ in known.questions:
        st.warning(f"{word(kind)}: {words.explained(kind) or ''}")
    if known.questions:
        st.page_link("views/review.py", label=f"{say('review')} →", query_params={"q": key})
    st.caption(say("link_here", key=key))

    st.subheader(say("over_time_title"))
    st.altair_chart(graph.timeline(identifiers, messages, published.as_of, called), width="stretch")
    with st.expander(say("as_a_table")):
        style.table(held(identifiers, called))
    why(known, shown)
    st.subheader(say("messages"))
    style.table(messages)
    if len(messages) == 500:
        st.caption(say("newest_messages", count=500))
    st.subheader(say("known_numbers"))
    style.table(data.rows(queries.WINDOWS, customer_key=key))


st.title(say("customer"))
search()
linked = st.query_params.get("id", "")
if linked and not st.session_state.asked.strip():
    current = data.current_key(data.version(), linked) if re.fullmatch(data.KEY, linked) else None
    if current is None:
        del st.query_params["id"]  # whatever it is, it does not stay in the address
        st.info(say("no_such_customer"))
    else:
        draw(current, st.session_state.at)
