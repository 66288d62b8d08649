"""One customer drawn: its nodes and links as Graphviz DOT, its identifiers along time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import altair as alt
import pandas as pd

from dashboard import style
from orchestration.explain import RULES, Explanation, Identifier, side

# A link is drawn the fainter, the weaker its evidence is.
LINES = {1: "bold", 2: "solid", 3: "dashed", 4: "dotted"}
MOST_LINKS = 60


def dot(known: Explanation, shown: Callable[[str, str], str]) -> str:
    """The identity graph; `shown` masks an identifier of a type, and nodes are numbered."""
    lines = [
        "graph {",
        'node [fontname="sans-serif" fontsize=11 style=filled color=white]',
        'edge [fontname="sans-serif" fontsize=10 penwidth=2]',
        "bgcolor=transparent",
    ]
    links = known.links[:MOST_LINKS]
    ends = {end for link in links for end in (link.left_node_id, link.right_node_id)}
    numbers = {node: f"n{place}" for place, node in enumerate(sorted(ends) or known.nodes)}
    for node, number in numbers.items():
        kind, value, since = side(node)
        label = f"{style.word(kind)}\n{shown(kind, value)}"
        look = f'fillcolor="{style.BLUE}" fontcolor=white shape=box'
        if kind == "phone":
            label += f"\nfrom {since[:10]}"
            look = f'fillcolor="{style.ORANGE}" shape=ellipse'
        lines.append(f"{number} [label={json.dumps(label, ensure_ascii=False)} {look}]")
    for link in links:
        label = f" {link.link_rule} {link.link_detail}\n {link.linked_at:%Y-%m-%d}"
        colour = style.GREY
        if link == known.weakest and len(links) > 1:
            label, colour = f"{label}\n weakest", style.VERMILION
        lines.append(
            f"{numbers[link.left_node_id]} -- {numbers[link.right_node_id]} "
            f'[label={json.dumps(label)} style={LINES[link.evidence_tier]} color="{colour}" '
            f"tooltip={json.dumps(RULES.get(link.link_rule, link.link_rule))}]"
        )
    return "\n".join([*lines, "}"])


def names(
    identifiers: list[Identifier], shown: Callable[[str, str], str]
) -> dict[tuple[str, str], str]:
    """What to call each identifier (by type and value): those alike when masked are numbered."""
    found: dict[tuple[str, str], str] = {}
    alike: dict[str, int] = {}
    for one in identifiers:
        if (one.kind, one.value) not in found:
            name = shown(one.kind, one.value)
            alike[name] = alike.get(name, 0) + 1
            found[one.kind, one.value] = f"{name} ({alike[name]})" if alike[name] > 1 else name
    return found


def timeline(
    identifiers: list[Identifier],
    messages: pd.DataFrame,
    until: datetime,
    called: dict[tuple[str, str], str],
) -> alt.LayerChart:
    """A bar per stretch in which an identifier was held, and a tick per message below them.

    Times are UTC; `until` ends what still holds, `called` is what `names` gave.
    """
    held = pd.DataFrame(
        {
            "row": f"{style.word(one.kind)} {called[one.kind, one.value]}",
            "kind": style.word(one.kind),
            "from": one.valid_from,
            "to": max(one.valid_to or until, one.valid_from),
            "until": f"{one.valid_to:%Y-%m-%d}" if one.valid_to else "today",
            "why": RULES.get(one.link_rule, one.link_rule),
        }
        for one in identifiers
    )
    kinds = list(dict.fromkeys(one.kind for one in identifiers))
    colour = alt.Color("kind:N", scale=style.scale(kinds), legend=None)
    y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=190))
    bars = (
        alt.Chart(held)
        .mark_bar(height=14, cornerRadius=3)
        .encode(
            x=alt.X("from:T", title=None),
            x2="to:T",
            y=y,
            color=colour,
            stroke=colour,  # a stretch of no length is seen all the same
            tooltip=[
                alt.Tooltip("row:N", title="Identifier"),
                alt.Tooltip("from:T", title="From"),
                alt.Tooltip("until:N", title="To"),
                alt.Tooltip("why:N", title="Why"),
            ],
        )
    )
    said = pd.DataFrame(
        {
            "row": "Messages",
            "at": messages["occurred_at"],
            "direction": messages["direction"],
        }
    )
    ticks = (
        alt.Chart(said)
        .mark_tick(thickness=2, size=16, color=style.GREY)
        .encode(x="at:T", y=y, tooltip=["at:T", "direction:N"])
    )
    height = 26 * (held["row"].nunique() + 1) + 40
    return alt.layer(bars, ticks).properties(height=height)
