"""What one would write first: ways to key customers, to be beaten.

Input is the table of identifiers per message as delivered: `message_id, portfolio_id, bsuid,
phone, username` (strings, null where not shown). Each returns a customer code per row (int64,
-1 where the row has nothing to go by). None crosses a portfolio.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .graph import codes, components


def phone_first(identifiers: pa.Table) -> np.ndarray:
    """Keyed by the phone, by the BSUID where no phone is shown: what most integrations do."""
    return _first_of(identifiers, ("phone", "bsuid"))


def bsuid_only(identifiers: pa.Table) -> np.ndarray:
    """Keyed by the BSUID alone; what came before it is keyed by phone and stays apart."""
    return _first_of(identifiers, ("bsuid", "phone"))


def transitive_closure(identifiers: pa.Table, links: pa.Table | None = None) -> np.ndarray:
    """Everything that ever shared a BSUID, phone or username is one customer.

    With `links` (portfolio_id, left_type, left_value, right_type, right_value: what the other
    delivered webhooks connect, such as changes of number) they count, too.
    """
    kinds = ("bsuid", "phone", "username")
    rows = identifiers.num_rows
    if links is None:
        links = _NO_LINKS
    portfolio = [*identifiers["portfolio_id"].chunks] * 3 + [*links["portfolio_id"].chunks] * 2
    kind = [
        pa.array(np.repeat(kinds, rows), pa.string()),
        *links["left_type"].chunks,
        *links["right_type"].chunks,
    ]
    value = [chunk for name in kinds for chunk in identifiers[name].chunks]
    value += [*links["left_value"].chunks, *links["right_value"].chunks]
    node = codes(*(pa.chunked_array(part, pa.string()) for part in (portfolio, kind, value)))
    columns = node[: 3 * rows].reshape(3, rows)
    ends = node[3 * rows :].reshape(2, links.num_rows)
    edges = [ends] + [columns[[i, j]] for i, j in ((0, 1), (0, 2), (1, 2))]
    pairs = np.concatenate([edge[:, (edge >= 0).all(axis=0)] for edge in edges], axis=1)
    component = components(int(node.max(initial=-1)) + 1, pairs[0], pairs[1])
    first = np.where(columns[0] >= 0, columns[0], np.where(columns[1] >= 0, columns[1], columns[2]))
    return np.where(first >= 0, component[first], -1)


_LINK_COLUMNS = ("portfolio_id", "left_type", "left_value", "right_type", "right_value")
_NO_LINKS = pa.table({name: pa.chunked_array([[]], pa.string()) for name in _LINK_COLUMNS})


def _first_of(identifiers: pa.Table, order: tuple[str, str]) -> np.ndarray:
    """Keyed by the first of two columns that is there; equal text of both kinds never meets."""
    first, second = (
        pc.binary_join_element_wise(
            pa.scalar(kind), identifiers["portfolio_id"], identifiers[kind], ":"
        )
        for kind in order
    )
    return codes(pc.coalesce(first, second))


def baselines(identifiers: pa.Table, links: pa.Table) -> dict[str, np.ndarray]:
    """Customer codes of every baseline, by name."""
    return {
        "phone-first key": phone_first(identifiers),
        "BSUID only": bsuid_only(identifiers),
        "transitive closure": transitive_closure(identifiers),
        "transitive closure with changes": transitive_closure(identifiers, links),
    }
