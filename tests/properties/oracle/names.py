"""The names of nodes over time, carried along succession (section 7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from .identifiers import plain_name
from .model import Node, Observation, label

if TYPE_CHECKING:
    from .phone_line import Segment
    from .r2_succession import Edge


class Names:
    """The names of nodes over time, carried along succession."""

    def __init__(
        self,
        observations: Iterable[Observation],
        segments: Mapping[Node, Segment],
        kept: Iterable[Edge],
    ) -> None:
        self.own: dict[str, list[Observation]] = defaultdict(list)
        for seen in sorted(observations, key=lambda o: o.order):
            if seen.bsuid and plain_name(seen.name):
                self.own[seen.bsuid].append(seen)
        self.segments = segments
        self.predecessors: dict[Node, list[Node]] = defaultdict(list)
        for edge in kept:
            self.predecessors[edge.new].append(edge.old)

    def named(self, node: Node) -> list[Observation]:
        if node[0] == "bsuid":
            return self.own.get(node[1], [])
        return self.segments[node].named

    def up_to(self, node: Node, at: datetime) -> str | None:
        """The latest name up to a moment, else that of the nearest predecessor with one."""
        generation, visited = [node], {node}
        while generation:
            for one in sorted(generation, key=lambda n: (n[0], label(n))):
                if own := [seen for seen in self.named(one) if seen.evidence_at <= at]:
                    return plain_name(own[-1].name)
            older = {before for one in generation for before in self.predecessors.get(one, ())}
            generation = list(older - visited)
            visited |= older
        return None

    def of_bsuid(self, bsuid: str, at: datetime) -> str | None:
        """A BSUID's name at a pairing: up to it, else carried, else the first one after it."""
        node: Node = ("bsuid", bsuid)
        return self.up_to(node, at) or next(
            (plain_name(seen.name) for seen in self.named(node)), None
        )

    def own_up_to(self, node: Node, at: datetime) -> str | None:
        """A node's own latest name up to a moment, else its first one after; nothing is carried."""
        own = self.named(node)
        before = [seen for seen in own if seen.evidence_at <= at]
        return plain_name((before or own)[-1 if before else 0].name) if own else None

    def own_from(self, node: Node, at: datetime) -> str | None:
        """A node's own first name from a moment on."""
        return next(
            (plain_name(seen.name) for seen in self.named(node) if seen.evidence_at >= at), None
        )
