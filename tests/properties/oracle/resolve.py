"""One portfolio, and all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .events import Event, by_portfolio, first_statuses, read_events
from .messages import attribute_messages
from .model import Components, KeyParts, Node, Observation, Record, Resolution, Variables
from .names import Names
from .observations import observe
from .other_spelling import respelled
from .phone_line import PhoneLine, identity_key_changes, r5_owner_signs
from .r2_succession import (
    r2_candidates,
    r2_changes,
    r2_cuts,
    r2_cycles,
    r2_kept,
    r2_mover,
    r2_new_side,
    r2_sightings,
    read_change,
)
from .r3_phone_claim import r3_claims
from .r4_username_lease import r4_leases
from .r5_backfill import r5_backfill, r5_came_by_rotation
from .r6_holder_changed import r6_holder_changed
from .r7_missed_succession import r7_missed_successions
from .r8_shared_contact import r8_void
from .r9_enterprise import r9_enterprise
from .r10_key import r10_evidence, r10_key
from .r11_override import r11_overrides, r11_parted

if TYPE_CHECKING:
    from .r3_phone_claim import Claim


@dataclass
class Decided:
    """The result of one portfolio, before keys from other portfolios matter."""

    customers: dict[str, frozenset[Node]]
    key_parts: dict[str, KeyParts]
    links: set[tuple[Node, Node, str]]
    claims: list[Claim]
    leases: list[tuple[str, str, datetime, datetime | None]]
    messages: dict[str, str]
    reviews: set[tuple[str, tuple[str, ...]]]
    holder_changed: set[str]
    parents: set[tuple[str, str]]
    parent_successions: set[tuple[str, str]]


def decide(
    events: Sequence[Event],
    overrides: Sequence[Mapping[str, Any]],
    ignored: Collection[str],
    as_of: datetime,
    variables: Variables,
) -> Decided:
    """Apply every rule to the events of one portfolio."""
    own = {event.display for event in events if event.display}
    nobody = own | set(ignored)
    shown, malformed = observe(events, ignored, own, first_statuses(events))
    reviews = {("malformed_identifier", (value,)) for value in malformed}

    raw = [change for event in events if (change := read_change(event, nobody, variables))]
    changes = r2_changes(raw, variables)
    cuts = r2_cuts(changes)
    shown = respelled([*shown, *r2_sightings(raw, changes)])

    parted = r11_parted(overrides, as_of)
    seen_together = [seen for seen in shown if seen.is_pairing]
    void, found = r8_void(seen_together, changes, parted, variables)
    reviews |= found
    observations = [seen for seen in shown if (seen.event_id, seen.path) not in void]
    pairings = [seen for seen in observations if seen.is_pairing]
    all_claims = r3_claims(pairings, changes, cuts, parted)
    claims = [claim for claim in all_claims if claim.is_held]

    phone_only = [
        replace(seen, evidence_at=seen.paired_at)
        for seen in observations
        if seen.phone and not seen.bsuid
    ]
    phones = {seen.phone for seen in pairings + phone_only} | set(cuts)
    owner_signs = r5_owner_signs(observations, identity_key_changes(events), variables)
    lines = {
        phone: PhoneLine(
            phone,
            [claim for claim in claims if claim.phone == phone],
            cuts.get(phone, []),
            [seen for seen in phone_only if seen.phone == phone],
            owner_signs.get(phone, []),
            variables,
        )
        for phone in sorted(phone for phone in phones if phone)
    }
    segments = {s.node: s for line in lines.values() for s in line.segments.values()}
    nodes: set[Node] = {("bsuid", seen.bsuid) for seen in observations if seen.bsuid}
    nodes |= set(segments)

    must, cannot, found = r11_overrides(overrides, nodes, lines, as_of)
    reviews |= found
    forbidden = {frozenset(pair) for pair in cannot}

    own_names = Names(observations, segments, ())
    candidates, found = r2_candidates(changes, lines, own_names, variables)
    reviews |= found
    kept, found = r2_kept(candidates, variables)
    reviews |= found | r2_cycles(kept)
    allowed = [edge for edge in kept if frozenset((edge.old, edge.new)) not in forbidden]
    names = Names(observations, segments, allowed)
    new_sides = [
        (change, r2_new_side(change, changes, lines, own_names, variables)[0]) for change in changes
    ]

    def came_by_rotation(claim: Claim) -> bool:
        return r5_came_by_rotation(claim, new_sides, candidates, pairings)

    uncut, _ = r5_backfill(lines, names, came_by_rotation, (), variables)
    backfilled, found = r5_backfill(lines, names, came_by_rotation, forbidden, variables)
    reviews |= found
    existing = {frozenset((edge.old, edge.new)) for edge in kept}
    existing |= {frozenset((left, right)) for left, right, _ in uncut}
    for left, right in cannot:
        if frozenset((left, right)) not in existing:
            reviews.add(("override_problem", tuple(sorted((left[1], right[1])))))

    links = {(edge.old, edge.new, "R2") for edge in allowed} | set(backfilled)
    links |= {(left, right, "R11") for left, right in must}
    groups = Components()
    for node in nodes:
        groups.root(node)
    for left, right, _ in links:
        groups.join(left, right)

    evidence: dict[Node, list[tuple[datetime, str, str, str]]] = defaultdict(list)
    for seen in observations:
        if seen.bsuid:
            evidence["bsuid", seen.bsuid].append(r10_evidence(seen, seen.bsuid))
    for node, segment in segments.items():
        evidence[node] += [r10_evidence(seen, segment.phone) for seen in segment.observations]
    customers, key_parts, key_of = {}, {}, {}
    for group in groups.groups():
        key, parts = r10_key(one for node in group for one in evidence[node])
        customers[key], key_parts[key] = group, parts
        key_of |= dict.fromkeys(group, key)

    lost, found = r6_holder_changed(all_claims, key_of.__getitem__)
    reviews |= found
    leases = r4_leases(observations)
    reviews |= r7_missed_successions(observations, leases, names, key_of.__getitem__, variables)

    def customer_seen(seen: Observation) -> str:
        if seen.bsuid:
            return key_of["bsuid", seen.bsuid]
        if seen.phone:
            line = lines[seen.phone]
            found = line.attribute(seen.paired_at)
            if found is None:
                found = r2_mover(seen.phone, line.bound(seen.paired_at), changes, lines)
            if isinstance(found, tuple):
                return key_of[found]
            return found or "never_reached"
        if seen.is_failed and seen.parent:
            shows = {customer for customer, parent in parents if parent == seen.parent}
            return shows.pop() if len(shows) == 1 else "no_identifier"
        return "ignored" if seen.was_ignored else "no_identifier"

    shown_parents = [seen for seen in observations if seen.parent and seen.bsuid]
    parents = {
        (customer, seen.parent)
        for seen in shown_parents
        if (customer := customer_seen(seen)) in customers
    }
    return Decided(
        customers,
        key_parts,
        links,
        claims,
        leases,
        attribute_messages(events, observations, customer_seen),
        reviews,
        lost,
        parents,
        {(c.old_parent, c.new_parent) for c in raw if c.old_parent and c.new_parent},
    )


def resolve(
    records: Iterable[Record],
    business_accounts: Sequence[Mapping[str, Any]],
    overrides: Sequence[Mapping[str, Any]] = (),
    variables: Variables | None = None,
    ignored: Sequence[Mapping[str, Any] | str] = (),
) -> Resolution:
    """Resolve landing records to customers.

    ``business_accounts``, ``overrides`` and ``ignored`` are rows as in the seeds; a bare identifier
    in ``ignored`` holds in every portfolio. The order of the records does not matter.
    """
    variables = variables or Variables()
    homes = by_portfolio(read_events(records), business_accounts)
    received = [event.received_at for events in homes.values() for event in events]
    as_of = variables.as_of or max(received, default=datetime.now(UTC))
    whole = Resolution({}, {}, {}, set(), [], [], {}, set(), set(), set())
    parents: set[tuple[str, str]] = set()
    successions: set[tuple[str, str]] = set()
    for portfolio, mine in homes.items():
        rows = [row for row in overrides if row["portfolio_id"] == portfolio]
        nobody = {row for row in ignored if isinstance(row, str)} | {
            row["identifier_value"]
            for row in ignored
            if not isinstance(row, str) and row["portfolio_id"] == portfolio
        }
        one = decide(mine, rows, nobody, as_of, variables)
        whole.customers.update(one.customers)
        whole.portfolio_of.update(dict.fromkeys(one.customers, portfolio))
        whole.key_parts.update(one.key_parts)
        whole.links.update((portfolio, *link) for link in one.links)
        whole.claims.extend(
            (portfolio, c.phone, c.bsuid, c.start, c.end, c.reason) for c in one.claims
        )
        whole.leases.extend((portfolio, *lease) for lease in one.leases)
        for message, customer in one.messages.items():
            whole.message_customer[portfolio, message] = customer
        whole.reviews.update((portfolio, *review) for review in one.reviews)
        if portfolio.startswith("waba:"):
            waba = portfolio.removeprefix("waba:")
            whole.reviews.add((portfolio, "unmapped_waba", (waba,)))
        whole.holder_changed.update(one.holder_changed)
        parents |= one.parents
        successions |= one.parent_successions
    never = datetime.max.replace(tzinfo=UTC)
    whole.claims.sort(key=lambda c: (c[0], c[1], c[3], c[2], c[4] or never))
    whole.leases.sort(key=lambda c: (c[0], c[1], c[3], c[2], c[4] or never))
    whole.enterprise.update(r9_enterprise(parents, successions))
    return whole
