"""Who an identifier means, and all by which that one person is known: what forgetting and exporting begin with.

Whoever is set aside (int_customer__quarantine) is in no published table, and has the same rights: they are found in the
warehouse, from which all is read that is known of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from orchestration.explain import NOBODY, Unknown, customers_of, held, open_published
from orchestration.landing.forgotten import microseconds
from orchestration.settings import Settings, UserError
from orchestration.warehouse import open_warehouse


@dataclass(frozen=True)
class Person:
    """A customer with its identifiers; a phone is theirs from `[1]` until `[2]` (None: until now), UTC."""

    customer_key: str
    island_id: int
    is_set_aside: bool
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
    with (
        open_published(settings) as published,
        open_warehouse(settings, read_only=True) as warehouse,
    ):
        try:
            return _find(published, warehouse, identifier)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise UserError(
                f"The warehouse {settings.warehouse_path} is of an earlier version, or its last run did not end: "
                "run `make run`, then try again."
            ) from error


def _find(
    published: duckdb.DuckDBPyConnection, warehouse: duckdb.DuckDBPyConnection, identifier: str
) -> Person:
    named = dict(customers_of(published, identifier))
    found = {place: named[place[0]] for place in _places(warehouse, list(named))}
    aside = _set_aside(published, warehouse, identifier)
    # whoever is set aside may have another key meanwhile
    if not aside and (gone := named.keys() - {key for key, _ in found}):
        raise UserError(
            f"The warehouse does not know the customer {min(gone)} that is published: run `make run`, then try again."
        )
    found = aside | found
    if not found:
        # not the identifier: an error is written down
        raise Unknown(NOBODY.format(as_whom="by this identifier"))
    if len(found) > 1:
        known = "; ".join(f"{key} ({how})" for (key, _), how in found.items())
        raise UserError(
            f"This leads to {len(found)} customers: say which by ID=<customer key>, or by an identifier that "
            f"nobody else ever had: {known}."
        )
    (place,) = found
    return _read(warehouse, *place)


def _places(warehouse: duckdb.DuckDBPyConnection, keys: list[str]) -> list[tuple[str, int]]:
    """Keys as the warehouse has them, each with its island: more than one island is a fault, and two persons."""
    return warehouse.execute(
        """
        select distinct customer_key, island_id from intermediate.int_identity__resolved_node
        where list_contains($1, customer_key) order by list_position($1, customer_key), island_id
        """,
        [keys],
    ).fetchall()


def _set_aside(
    published: duckdb.DuckDBPyConnection, warehouse: duckdb.DuckDBPyConnection, identifier: str
) -> dict[tuple[str, int], str]:
    """(customer_key, island) -> how it was found, of customers that are set aside."""
    aside = warehouse.execute(
        """
        select customer_key, island_id, identifier_type, identifier_value, valid_from, valid_to
        from intermediate.int_customer__identifier
        where island_id in (select island_id from intermediate.int_customer__quarantine)
        union all
        select customer_key, island_id, 'customer key', customer_key, first_seen_at, null
        from intermediate.int_customer__profile
        where island_id in (select island_id from intermediate.int_customer__quarantine)
        """
    ).to_arrow_table()
    # there, for spellings are read as readers have them read
    published.register("set_aside", aside)
    holders = published.execute(
        """
        select customer_key, island_id, identifier_type, valid_from, valid_to
        from set_aside
        where identifier_type = 'customer key' and identifier_value = $1
            or exists (
                from lookup.reading(null, null, $1) as reading
                where reading.identifier_type = set_aside.identifier_type
                    and reading.key_hash = lookup.key_hash(
                        set_aside.identifier_type,
                        if(
                            set_aside.identifier_type = 'phone',
                            lookup.phone_key(set_aside.identifier_value),
                            set_aside.identifier_value
                        )
                    )
            )
        order by valid_to is null desc, valid_from desc, customer_key, island_id
        """,
        [identifier.strip()],
    ).fetchall()
    found: dict[tuple[str, int], str] = {}
    for key, island, kind, begin, end in holders:
        how = kind if kind == "customer key" else held(kind, begin, end)
        found.setdefault((key, island), f"{how}, set aside")
    return found


def _read(warehouse: duckdb.DuckDBPyConnection, key: str, island: int) -> Person:
    def column(query: str, **parameters: object) -> list:
        return [value for (value,) in warehouse.execute(query, parameters).fetchall()]

    (portfolio,) = column(
        "select min(portfolio_id) from intermediate.int_identity__resolved_node "
        "where customer_key = $key and island_id = $island",
        key=key,
        island=island,
    )
    bsuids = column(
        """
        select identifier_value from intermediate.int_identity__resolved_node
        where customer_key = $key and island_id = $island and node_kind = 'bsuid'
        union
        select identifier_value from intermediate.int_customer__identifier
        where customer_key = $key and island_id = $island and identifier_type = 'parent_bsuid'
        order by all
        """,
        key=key,
        island=island,
    )
    # Another spelling of a number is the same line, unless people are known under both. What was sent to a number before
    # anybody was on it is theirs too; of who is set aside, what was sent to it before they were the next to come.
    phones = warehouse.execute(
        """
        with stays as (
            select stay.phone, stay.stays_from, stay.stays_to
            from intermediate.int_identity__stay as stay
            inner join intermediate.int_identity__resolved_node as node using (portfolio_id, node_id)
            where node.customer_key = $key and node.island_id = $island
        ),

        numbers as (
            select phone, match_key
            from intermediate.int_phone__number
            where default_country is null and match_key in (
                select match_key from intermediate.int_phone__number
                where default_country is null and phone in (select phone from stays)
            )
        ),

        known as (
            select numbers.match_key, min(stay.phone) as phone
            from intermediate.int_identity__stay as stay
            inner join numbers using (phone)
            where stay.portfolio_id = $portfolio
            group by numbers.match_key
            having count(distinct stay.phone) = 1
        ),

        spellings as (
            select numbers.phone, known.phone as known_phone
            from numbers
            inner join known using (match_key)
        ),

        theirs as (
            from stays
            union
            select spellings.phone, stays.stays_from, stays.stays_to
            from stays
            inner join spellings on stays.phone = spellings.known_phone
        ),

        sent_before as (
            select sighting.phone, sighting.evidence_at, message.customer_key
            from intermediate.int_identity__observation as sighting
            inner join marts.fct_message as message using (portfolio_id, message_id)
            where sighting.portfolio_id = $portfolio and sighting.phone is not null and sighting.bsuid is null
                and (
                    message.customer_key = $key
                    or message.unassigned_reason = 'quarantined' and sighting.phone in (select phone from theirs)
                )
                and not exists (
                    from theirs
                    where theirs.phone = sighting.phone
                        and sighting.evidence_at >= theirs.stays_from
                        and (theirs.stays_to is null or sighting.evidence_at < theirs.stays_to)
                )
        ),

        -- a stay that had begun by then is somebody else's
        next_stays as (
            select sent_before.phone, sent_before.evidence_at, min(stay.stays_from) as stays_from
            from sent_before
            left join spellings using (phone)
            inner join intermediate.int_identity__stay as stay
                on stay.portfolio_id = $portfolio
                and stay.phone = coalesce(spellings.known_phone, sent_before.phone)
                and (stay.stays_to is null or stay.stays_to > sent_before.evidence_at)
            where sent_before.customer_key is null
            group by sent_before.phone, sent_before.evidence_at
        )

        from theirs
        union
        select phone, evidence_at, evidence_at + interval 1 second
        from sent_before
        where customer_key = $key
        union
        select phone, evidence_at, evidence_at + interval 1 second
        from next_stays
        inner join theirs using (phone, stays_from)
        where stays_from > evidence_at
        order by all
        """,
        {"key": key, "island": island, "portfolio": portfolio},
    ).fetchall()
    return Person(
        customer_key=key,
        island_id=island,
        is_set_aside=bool(
            column(
                "select island_id from intermediate.int_customer__quarantine where island_id = $island",
                island=island,
            )
        ),
        portfolio_id=portfolio,
        waba_ids=column(
            "select distinct waba_id from intermediate.int_identity__observation where portfolio_id = $portfolio "
            "order by all",
            portfolio=portfolio,
        ),
        former_keys=_former_keys(warehouse, key, bsuids, phones),
        bsuids=bsuids,
        phones=phones,
    )


def _former_keys(
    warehouse: duckdb.DuckDBPyConnection,
    key: str,
    bsuids: list[str],
    phones: list[tuple[str, datetime, datetime | None]],
) -> list[str]:
    """Keys that lead to this customer; those of who is set aside lead nowhere, and are told by what they were made of."""
    rows = warehouse.execute(
        """
        with phones as (
            select unnest($phones) as phone, unnest($begins::timestamp[]) as begins, unnest($ends::timestamp[]) as ends
        )

        select old_customer_key
        from marts.customer_key_redirect as redirect
        left join raw.published_key as published on redirect.old_customer_key = published.customer_key
        where redirect.customer_key = $key
            or redirect.reason = 'quarantined' and (
                list_contains($bsuids, published.identifier)
                or exists (
                    from intermediate.int_identity__observation as observed
                    inner join phones on observed.phone = phones.phone
                    where observed.event_id = published.event_id
                        and observed.phone = published.identifier
                        and observed.evidence_at >= phones.begins
                        and (phones.ends is null or observed.evidence_at < phones.ends)
                )
            )
        order by all
        """,
        {
            "key": key,
            "bsuids": bsuids,
            "phones": [phone for phone, *_ in phones],
            "begins": [begin for _, begin, _ in phones],
            "ends": [end for *_, end in phones],
        },
    ).fetchall()
    return [former for (former,) in rows]
