"""The best partition that the delivered events can support.

It knows who wrote what, so that it never mixes persons, but it joins two messages of a person
only where delivered evidence connects them: the same BSUID, the same phone, a webhook that shows
phone and BSUID together, a delivered change of number, an attested contact, the two regional
forms of one number. Its recall is the bound for everybody who does not know the truth.
"""

import numpy as np
import pyarrow as pa

from .graph import codes, components


def oracle_customers(messages: pa.Table, identifiers: pa.Table, evidence: pa.Table) -> np.ndarray:
    """Customer code per message (int64).

    `messages` (portfolio_id, person_id) and `identifiers` (bsuid, phone) are parallel;
    `evidence` has portfolio_id, person_id, left_type, left_value, right_type, right_value.
    Nodes are identifiers *of a person*: the same number of two persons is two nodes.
    """
    count, links = messages.num_rows, evidence.num_rows
    portfolio = pa.chunked_array(
        [
            *messages["portfolio_id"].chunks,
            *messages["portfolio_id"].chunks,
            *evidence["portfolio_id"].chunks,
            *evidence["portfolio_id"].chunks,
        ],
        pa.string(),
    )
    person = pa.chunked_array(
        [
            *messages["person_id"].chunks,
            *messages["person_id"].chunks,
            *evidence["person_id"].chunks,
            *evidence["person_id"].chunks,
        ],
        pa.int64(),
    )
    kind = pa.chunked_array(
        [
            pa.array(["bsuid"] * count + ["phone"] * count, pa.string()),
            *evidence["left_type"].chunks,
            *evidence["right_type"].chunks,
        ],
        pa.string(),
    )
    value = pa.chunked_array(
        [
            *identifiers["bsuid"].chunks,
            *identifiers["phone"].chunks,
            *evidence["left_value"].chunks,
            *evidence["right_value"].chunks,
        ],
        pa.string(),
    )
    node = codes(portfolio, person, kind, value)
    bsuid, phone = node[:count], node[count : 2 * count]
    left, right = node[2 * count : 2 * count + links], node[2 * count + links :]

    both = (bsuid >= 0) & (phone >= 0)
    component = components(
        int(node.max(initial=-1)) + 1,
        np.concatenate([bsuid[both], left]),
        np.concatenate([phone[both], right]),
    )
    first = np.where(bsuid >= 0, bsuid, phone)
    return np.where(first >= 0, component[first], -1)
