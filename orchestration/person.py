"""Who an identifier means, and all by which that one person is known: what forgetting and exporting begin with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from orchestration.explain import NOBODY, Unknown, customers_of, open_published
from orchestration.landing.forgotten import microseconds
from orchestration.settings import Settings, UserError
from orchestration.warehouse import open_warehouse


@dataclass(frozen=True)
class Person:
    """A customer with its identifiers; a phone is theirs from `[1]` until `[2]` (None: until now), UTC."""

    customer_key: str
    portfolio_id: str
    waba_ids: list[str]
    former_keys: list[str]
    bsuids: list[str]
    phones: list[tuple[str, datetime, datetime | None]]

    def identifiers(self, now: datetime) -> list[tuple[str, int, int]]:
        """Every identifier with its interval in microseconds since 1970 UTC; nothing is theirs after `now`."""
        end = microseconds(now)
        spans = [(bsuid, 0, end) for bsuid in self.bsuids]
        for phone, begin, until in self.phones:
            spans.append(
                (phone, microseconds(begin), min(microseconds(until), end) if until else end)
            )
        return spans


def find_person(settings: Settings, identifier: str) -> Person:
    """The one customer that an identifier leads to today. Raises Unknown, and UserError where it leads to several."""
    with open_published(settings) as published:
        found = customers_of(published, identifier)
    if not found:
        # not the identifier: an error is written down
        raise Unknown(NOBODY.format(identifier="this"))
    if len(found) > 1:
        known = "; ".join(f"{key} ({how})" for key, how in found)
        raise UserError(
            f"This leads to {len(found)} customers: say which by ID=<customer key>: {known}."
        )
    key = found[0][0]
    with open_warehouse(settings, read_only=True) as warehouse:
        return _read(warehouse, key)


def _read(warehouse: duckdb.DuckDBPyConnection, key: str) -> Person:
    def column(query: str, **parameters: object) -> list:
        return [value for (value,) in warehouse.execute(query, parameters).fetchall()]

    portfolios = column(
        "select distinct portfolio_id from intermediate.int_identity__resolved_node where customer_key = $key",
        key=key,
    )
    if not portfolios:
        raise UserError(
            f"The warehouse does not know the customer {key} that is published: run `make run`, then try again."
        )
    portfolio = portfolios[0]
    bsuids = column(
        """
        select identifier_value from intermediate.int_identity__resolved_node
        where customer_key = $key and node_kind = 'bsuid'
        union
        select identifier_value from marts.dim_customer_identifier
        where customer_key = $key and identifier_type = 'parent_bsuid'
        order by all
        """,
        key=key,
    )
    # The other spelling of a number is the same line; what was sent to it before anybody was on it is theirs too.
    phones = warehouse.execute(
        """
        with stays as (
            select stay.phone, stay.stays_from, stay.stays_to
            from intermediate.int_identity__stay as stay
            inner join intermediate.int_identity__resolved_node as node using (portfolio_id, node_id)
            where node.customer_key = $key
        )
        from stays
        union
        select alias.phone, stays_from, stays_to
        from stays
        inner join intermediate.int_identity__phone_alias as alias
            on alias.portfolio_id = $portfolio and alias.known_phone = stays.phone
        union
        select sighting.phone, sighting.evidence_at, sighting.evidence_at + interval 1 second
        from intermediate.int_identity__observation as sighting
        inner join marts.fct_message as message using (portfolio_id, message_id)
        where message.customer_key = $key and sighting.phone is not null and sighting.bsuid is null
            and not exists (
                from stays
                where stays.phone = sighting.phone
                    and sighting.evidence_at >= stays.stays_from
                    and (stays.stays_to is null or sighting.evidence_at < stays.stays_to)
            )
        order by all
        """,
        {"key": key, "portfolio": portfolio},
    ).fetchall()
    return Person(
        customer_key=key,
        portfolio_id=portfolio,
        waba_ids=column(
            "select distinct waba_id from intermediate.int_identity__observation where portfolio_id = $portfolio "
            "order by all",
            portfolio=portfolio,
        ),
        former_keys=column(
            "select old_customer_key from marts.customer_key_redirect where customer_key = $key order by all",
            key=key,
        ),
        bsuids=bsuids,
        phones=phones,
    )
