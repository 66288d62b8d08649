"""Integer codes of identifiers, and connected components over them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_SEPARATOR = "\x1f"  # in no identifier


def codes(*columns: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """One code (int64, from 0) per distinct tuple of values; -1 where any value is null."""
    strings = [
        (column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])).cast(
            pa.string()
        )
        for column in columns
    ]
    joined = strings[0] if len(strings) == 1 else pc.binary_join_element_wise(*strings, _SEPARATOR)
    encoded = joined.combine_chunks().dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def components(nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The component of each node (int64 codes) of an undirected graph."""
    ones = np.ones(len(left), np.int8)
    graph = coo_array((ones, (left, right)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)
