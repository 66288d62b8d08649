"""One customer drawn: its nodes and links as Graphviz DOT, its identifiers along time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import altair as alt
import pandas as pd

from dashboard import style, words
from dashboard.words import say, word
from orchestration.explain import Explanation, Identifier, side

# A link is drawn the fainter, the weaker its evidence is.
LINES = {1: "bold", 2: "solid", 3: "dashed", 4: "dotted"}
MOST_LINKS = 60
# More nodes than a row holds are set in rows, as lines of a text: one long chain would be a thread.
# Links between rows are straight and pass behind the nodes.
ROW = 4


def dot(known: Explanation, shown: Callable[[str, str], str]) -> str:
    """The identity graph; `shown` masks an identifier of a type, and nodes are numbered by time."""
    links = known.links[:MOST_LINKS]
    ends = dict.fromkeys(end for link in links for end in (link.left_node_id, link.right_node_id))
    numbers = {node: f"n{place}" for place, node in enumerate(ends or known.nodes[:1])}
    in_rows = len(numbers) > ROW
    places = {node: place for place, node in enumerate(numbers)}
    lines = [
        "graph {",
        "splines=line outputorder=edgesfirst ranksep=0.5 nodesep=0.4"
        if in_rows
        else "rankdir=LR ranksep=1.2",
        'node [fontname="sans-serif" fontsize=12 style="filled,rounded" color=white shape=box]',
        'edge [fontname="sans-serif" fontsize=10 penwidth=2]',
        "bgcolor=transparent",
    ]
    for node, number in numbers.items():
        kind, value, since = side(node)
        label = f"{word(kind)}\n{shown(kind, value)}"
        look = f'fillcolor="{style.BLUE}" fontcolor=white'
        if kind == "phone":
            label += f"\n{say('since')} {words.day(datetime.fromisoformat(since))}"
            look = f'fillcolor="{style.ORANGE}"'
        lines.append(f"{number} [label={json.dumps(label, ensure_ascii=False)} {look}]")
    if in_rows:
        placed = list(numbers.values())
        rows = [placed[start : start + ROW] for start in range(0, len(placed), ROW)]
        lines += [f"{{ rank=same; {' -- '.join(row)} [style=invis] }}" for row in rows]
        lines.append(f"{' -- '.join(row[0] for row in rows)} [style=invis]")
    for link in links:
        apart = abs(places[link.left_node_id] - places[link.right_node_id])
        label, colour = f" {words.day(link.linked_at)} ", style.GREY
        if link == known.weakest and len(links) > 1:
            label, colour = f"{label}\n {say('weakest')}", style.VERMILION
        if in_rows and apart > 1:
            label = ""
        why = f"{word(link.link_rule)} ({link.link_rule}, {link.link_detail})"
        lines.append(
            f"{numbers[link.left_node_id]} -- {numbers[link.right_node_id]} "
            f"[label={json.dumps(label, ensure_ascii=False)} style={LINES[link.evidence_tier]} "
            f'color="{colour}" constraint={str(not in_rows).lower()} '
            f"tooltip={json.dumps(why, ensure_ascii=False)}]"
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
            "row": f"{word(one.kind)} {called[one.kind, one.value]}",
            "kind": word(one.kind),
            "from": one.valid_from,
            "to": max(one.valid_to or until, one.valid_from),
            "since": words.day(one.valid_from),
            "until": words.day(one.valid_to),
            "why": word(one.link_rule),
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
            x=alt.X("from:T", title=None, axis=style.time_axis()),
            x2="to:T",
            y=y,
            color=colour,
            stroke=colour,  # a stretch of no length is seen all the same
            tooltip=[
                alt.Tooltip("row:N", title=say("identifier")),
                alt.Tooltip("since:N", title=say("from")),
                alt.Tooltip("until:N", title=say("to")),
                alt.Tooltip("why:N", title=say("why")),
            ],
        )
    )
    said = pd.DataFrame(
        {
            "row": say("messages"),
            "at": messages["occurred_at"],
            "direction": [style.value("direction", one) for one in messages["direction"]],
            "when": [words.moment(one) for one in messages["occurred_at"]],
        }
    )
    ticks = (
        alt.Chart(said)
        .mark_tick(thickness=2, size=16, color=style.GREY)
        .encode(
            x="at:T",
            y=y,
            tooltip=[
                alt.Tooltip("when:N", title=say("occurred_at")),
                alt.Tooltip("direction:N", title=say("direction")),
            ],
        )
    )
    height = 26 * (held["row"].nunique() + 1) + 40
    return alt.layer(bars, ticks).properties(height=height)
