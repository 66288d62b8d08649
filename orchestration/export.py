"""All that is known of one customer, for that person: a JSON file, and the same as a page to read."""

from __future__ import annotations

import html
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from orchestration.explain import RULES, TIERS, open_published
from orchestration.landing.forgotten import Erasure, Forgotten, keyed_hash
from orchestration.person import Person, find_person
from orchestration.settings import DATA, Settings, UserError
from orchestration.terminal import inert
from orchestration.warehouse import open_warehouse

# Part of the export -> its rows in the published file; $key is the customer's.
PUBLISHED = {
    "customer": "from marts.dim_customer where customer_key = $key",
    "identifiers": "from marts.dim_customer_identifier where customer_key = $key order by valid_from, identifier_type",
    "history": "from marts.dim_customer_history where customer_key = $key order by valid_from",
    "messages": "from marts.fct_message where customer_key = $key order by occurred_at, message_id",
    "group_messages": "from marts.fct_message_recipient where customer_key = $key order by sent_at, message_id",
    "links": "from marts.identity_link where customer_key = $key order by linked_at",
    # without the other side: that is somebody else
    "review_questions": (
        "select kind, score, first_seen_at, last_seen_at, occurrence_count, suggested_decision from marts.identity_review "
        "where $key in (left_customer_key, right_customer_key) order by first_seen_at, kind"
    ),
    "crm_contacts": "from marts.crm_contact_audit where customer_key = $key order by crm_contact_id",
    "business_numbers": "from marts.bridge_customer_business_number where customer_key = $key",
    "former_keys": "from marts.customer_key_redirect where customer_key = $key order by effective_at",
}
# The same of who is set aside, from what the warehouse keeps of them: the rest is worked out of it once they are back.
SET_ASIDE = {
    "customer": (
        "select customer_key, portfolio_id, profile_name, current_bsuid, parent_bsuid, username, wa_id, phone_source, "
        "marketing_opt_out, marketing_opt_out_at, first_seen_at, last_seen_at, true as is_set_aside "
        "from intermediate.int_customer__profile "
        "left join intermediate.int_customer__phone using (island_id, portfolio_id, customer_key) "
        "where island_id = $island and customer_key = $key"
    ),
    "identifiers": (
        "select distinct * exclude (island_id) from intermediate.int_customer__identifier "
        "where island_id = $island and customer_key = $key order by valid_from, identifier_type"
    ),
    # which on their island are theirs is told by whom the message shows
    "messages": (
        "select * exclude (island_id) from marts.fct_message "
        "where island_id = $island and message_id in (from theirs) order by occurred_at, message_id"
    ),
    "group_messages": (
        "select * exclude (island_id) from marts.fct_message_recipient "
        "where message_id in (from theirs) and participant_id in (from known_as) order by sent_at, message_id"
    ),
}
CONSENT = ("marketing_opt_out", "marketing_opt_out_at")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="robots" content="noindex"><title>Data export</title>
<style>body{{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse;display:block;overflow-x:auto}}
td,th{{border:1px solid #ccc;padding:.2em .5em;text-align:left;vertical-align:top}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}}</style>
<h1>What is known of this customer</h1><p>As of {exported_at}. Times are UTC.</p>
{sections}</html>
"""


def export(settings: Settings, identifier: str, out: str = "") -> Path:
    """Write what is known of the one customer that an identifier leads to; returns the JSON file's path.

    Both files are for their owner's eyes (mode 600). `out` is their folder, data/export/<customer_key> if empty.
    Raises Unknown, and UserError where the identifier leads to several customers.
    """
    person = find_person(settings, identifier.strip())
    told = read(settings, person)
    folder = (
        Path(os.path.abspath(Path(out).expanduser()))
        if out
        else DATA / "export" / person.customer_key
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(folder / "customer.html", page(told))
        return write(
            folder / "customer.json",
            json.dumps(told, ensure_ascii=False, indent=1, default=str) + "\n",
        )
    except OSError as error:
        raise UserError(
            f"OUT={folder} cannot be written ({error.strerror}): choose another folder."
        ) from error


def write(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def read(settings: Settings, person: Person) -> dict[str, Any]:
    """Part of the export -> its rows by column name, or one row."""
    told: dict[str, Any] = {"exported_at": datetime.now(UTC).isoformat(timespec="seconds")}
    if person.is_set_aside:
        told |= dict.fromkeys(PUBLISHED, []) | read_set_aside(settings, person)
    else:
        with open_published(settings) as published:
            for part, query in PUBLISHED.items():
                told[part] = rows_of(published, query, key=person.customer_key)
    for one in (*told["identifiers"], *told["links"]):
        one["evidence"] = f"{RULES.get(one['link_rule'], '')}; {TIERS[one['evidence_tier']]}"
    told["customer"] = told["customer"][0]
    told["consent"] = {name: told["customer"][name] for name in CONSENT}
    told["received"] = received(settings, person)
    return told


def read_set_aside(settings: Settings, person: Person) -> dict[str, list[dict[str, Any]]]:
    """Part of the export -> its rows, of a customer that no published table has."""
    with open_warehouse(settings, read_only=True) as warehouse:
        warehouse.execute(
            "create temp table phones as select unnest(?) as phone, unnest(?::timestamp[]) as begins, "
            "unnest(?::timestamp[]) as ends",
            [list(column) for column in zip(*person.phones, strict=True)] or [[], [], []],
        )
        warehouse.execute(
            "create temp table known_as as select unnest(?) as name union select phone from phones",
            [person.bsuids],
        )
        warehouse.execute(
            """
            create temp table theirs as
            select distinct message_id from intermediate.int_identity__observation as observed
            where portfolio_id = $portfolio and message_id is not null and (
                list_contains($bsuids, bsuid)
                or bsuid is null and exists (
                    from phones
                    where phones.phone = observed.phone
                        and observed.evidence_at >= phones.begins
                        and (phones.ends is null or observed.evidence_at < phones.ends)
                )
            )
            """,
            {"portfolio": person.portfolio_id, "bsuids": person.bsuids},
        )
        return {
            part: rows_of(warehouse, query, key=person.customer_key, island=person.island_id)
            for part, query in SET_ASIDE.items()
        } | {"former_keys": [{"old_customer_key": key} for key in person.former_keys]}


def rows_of(
    connection: duckdb.DuckDBPyConnection, query: str, **parameters: object
) -> list[dict[str, Any]]:
    """The rows of a query by column name; it may leave parameters aside."""
    used = {name: value for name, value in parameters.items() if f"${name}" in query}
    found = connection.execute(query, used)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def received(settings: Settings, person: Person) -> list[dict[str, Any]]:
    """Every item of theirs as WhatsApp sent it, with where it was landed: of what others wrote, nothing."""
    key = bytes(32)  # nobody keeps these hashes
    spans = [
        [keyed_hash(key, name), begin, end]
        for name, begin, end in person.identifiers(datetime.now(UTC).replace(tzinfo=None))
    ]
    theirs = Forgotten(key, [Erasure("", "", "", person.waba_ids, spans, [])])
    with open_warehouse(settings, read_only=True) as warehouse:
        webhooks = warehouse.execute(
            """
            select landing_file, line_number, received_at, epoch_us(received_at), body
            from raw.webhook
            semi join (
                select landing_file, line_number
                from intermediate.int_identity__observation
                where portfolio_id = $portfolio
                    and (list_contains($bsuids, bsuid) or list_contains($bsuids, parent_bsuid)
                        or list_contains($phones, phone))
            ) using (landing_file, line_number)
            order by received_at, landing_file, line_number
            """,
            {
                "portfolio": person.portfolio_id,
                "bsuids": person.bsuids,
                "phones": [phone for phone, *_ in person.phones],
            },
        ).fetchall()
    return [
        {
            "landing_file": file,
            "line_number": line,
            "received_at": received_at,
            "json_path": cut.json_path,
            "item": json.loads(msgspec.json.encode(cut.item)),
        }
        for file, line, received_at, microseconds, body in webhooks
        for cut in theirs.without(body.encode(), microseconds)[1]
        if cut.item is not None
    ]


def page(told: dict[str, Any]) -> str:
    """The same as HTML: every text of it is shown, none is obeyed."""
    sections = []
    for part, content in told.items():
        if part == "exported_at":
            continue
        rows = content if isinstance(content, list) else [content]
        sections.append(f"<h2>{part.replace('_', ' ').capitalize()}</h2>\n" + table(rows))
    return PAGE.format(exported_at=told["exported_at"], sections="\n".join(sections))


def table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<p>Nothing.</p>"
    lines = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in rows[0]) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row.values()) + "</tr>"
        for row in rows
    ]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return f"<pre>{html.escape(inert(json.dumps(value, ensure_ascii=False, indent=1)))}</pre>"
    return html.escape(inert(str(value)))
