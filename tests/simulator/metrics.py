"""How well a clustering of messages into customers matches the persons who wrote them.

Everything is computed from the contingency table persons x customers, so that ten million
messages cost a sort. Persons and customers are integer codes per message; a person here is a
person *in one portfolio*, as customers are.

- Pairwise: of all pairs of messages put into one customer, the share by one person (precision);
  of all pairs by one person, the share put into one customer (recall).
- B-cubed (Bagga and Baldwin 1998) at event grain: per message, the share of its customer that is
  its person's (precision), and of its person that is in its customer (recall), averaged.

A message without a customer (code -1) is a customer of its own: it costs recall, never precision.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Scores of one clustering. Shares are between 0 and 1; an empty denominator gives 1."""

    messages: int
    persons: int
    customers: int  # that hold at least one of these messages
    unassigned: int  # messages without a customer
    pair_precision: float
    pair_recall: float
    b3_precision: float
    b3_recall: float
    b3_f1: float
    mixed_persons: float  # share of persons in a customer that holds another person, too
    largest_customer: int  # most persons in one customer
    customers_per_person: float  # mean over persons with a customer
    split_persons: float  # share of persons with more than one customer


@dataclass(frozen=True)
class Contingency:
    """The non-empty cells of persons x customers, and both margins."""

    person: np.ndarray  # [cells] codes from 0
    customer: np.ndarray  # [cells] codes from 0
    count: np.ndarray  # [cells] messages
    person_size: np.ndarray  # [persons]
    customer_size: np.ndarray  # [customers]
    assigned: np.ndarray  # [customers] bool: false for the stand-in of an unassigned message
    person_codes: np.ndarray  # [persons] the codes given in


def contingency(persons: np.ndarray, customers: np.ndarray) -> Contingency:
    """Count messages per person and customer; both are integer codes per message.

    Messages of person -1 (nobody is known to have got them) are left out.
    """
    if len(persons) != len(customers):
        raise ValueError("one customer per message")
    known = persons >= 0
    persons, customers = persons[known].astype(np.int64), customers[known].astype(np.int64)
    loose = customers < 0
    customers = customers.copy()
    # Each unassigned message gets a code of its own beyond the real ones.
    first_own = int(customers.max(initial=-1)) + 1
    customers[loose] = first_own + np.arange(loose.sum())
    person_codes, person = _dense(persons)
    customer_codes, customer = _dense(customers)
    width = max(len(customer_codes), 1)
    cells, count = np.unique(person * width + customer, return_counts=True)
    return Contingency(
        person=cells // width,
        customer=cells % width,
        count=count,
        person_size=np.bincount(person, minlength=len(person_codes)),
        customer_size=np.bincount(customer, minlength=len(customer_codes)),
        assigned=customer_codes < first_own,
        person_codes=person_codes,
    )


def _dense(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct codes in order, and the position of each value among them.

    A table instead of a sort, as long as the codes are not much larger than their number.
    """
    top = int(values.max(initial=-1)) + 1
    if top > 8 * len(values) + 1000:
        return np.unique(values, return_inverse=True)
    there = np.zeros(top, bool)
    there[values] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]


def score(table: Contingency, only: np.ndarray | None = None) -> Scores:
    """Scores over all messages, or over those of some persons (`only`: their codes).

    Restricted, the customers keep everybody in them: a wrong merge of a chosen person with
    somebody else counts. Pairs put together are those with at least one chosen person's message.
    """
    if only is None:
        chosen = np.ones(len(table.person_codes), bool)
    else:
        chosen = np.isin(table.person_codes, only)
    cell = chosen[table.person]
    count = table.count[cell].astype(np.float64)
    person, customer = table.person[cell], table.customer[cell]
    person_size = table.person_size[person].astype(np.float64)
    customer_size = table.customer_size[customer].astype(np.float64)
    messages = int(table.person_size[chosen].sum())

    held = np.bincount(customer, weights=count, minlength=len(table.customer_size))
    size = table.customer_size.astype(np.float64)
    together = (_pairs(size) - _pairs(size - held)).sum()
    right = _pairs(count).sum()
    true = _pairs(table.person_size[chosen].astype(np.float64)).sum()
    precision = float((count * count / customer_size).sum() / messages) if messages else 1.0
    recall = float((count * count / person_size).sum() / messages) if messages else 1.0

    people_in = np.bincount(table.customer, minlength=len(table.customer_size))
    mixed = np.zeros(len(table.person_codes), bool)
    mixed[person[people_in[customer] > 1]] = True
    real = table.assigned[customer]
    customers_of = np.bincount(person[real], minlength=len(table.person_codes))
    placed = customers_of[chosen & (customers_of > 0)]
    persons = int(chosen.sum())
    return Scores(
        messages=messages,
        persons=persons,
        customers=len(np.unique(customer[real])),
        unassigned=int(table.count[cell][~real].sum()),
        pair_precision=_share(right, together),
        pair_recall=_share(right, true),
        b3_precision=precision,
        b3_recall=recall,
        b3_f1=2 * precision * recall / (precision + recall),
        mixed_persons=float(mixed.sum() / persons) if persons else 0.0,
        largest_customer=int(people_in[customer].max(initial=0)),
        customers_per_person=float(placed.mean()) if len(placed) else 1.0,
        split_persons=float((placed > 1).mean()) if len(placed) else 0.0,
    )


def _pairs(size: np.ndarray) -> np.ndarray:
    return size * (size - 1) / 2


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
