"""What DuckDB's SQL has no function for: connected components, by scipy."""

import numpy
import pyarrow
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def components_of(left_nodes: pyarrow.Array, right_nodes: pyarrow.Array) -> pyarrow.Array:
    """Of graphs, each a list of left and one of right ends of its edges: the components of their nodes.

    Nodes are numbers from 0 without a gap, of 32 bits as scipy counts; the component of node n is the nth of its
    graph's list, also a number.
    """
    graphs = []
    for left, right in zip(left_nodes, right_nodes, strict=True):
        ends = left.values.to_numpy(), right.values.to_numpy()
        size = max(nodes.max() for nodes in ends) + 1
        graph = coo_array((numpy.ones(len(ends[0]), "int8"), ends), shape=(size, size))
        graphs.append(connected_components(graph, directed=False)[1])
    return pyarrow.array(graphs, pyarrow.list_(pyarrow.int32()))


class Plugin(BasePlugin):
    """dbt-duckdb asks it once for each connection."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Make it known as `components_of(left_nodes, right_nodes)`; null where there is no edge."""
        conn.create_function(
            "components_of", components_of, ["integer[]", "integer[]"], "integer[]", type="arrow"
        )
