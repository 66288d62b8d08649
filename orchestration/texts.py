"""What people wrote, in a file of its own: customers_text.duckdb, beside the published file where PUBLISH_TEXT asks for it.

No model reads the content of a message, so it is read here, from raw, and only for messages that are published. So what was
forgotten or is too old is not in it, and whoever may see who wrote need not see what.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from orchestration.ledger import quoted

# What a message says, by its type: in words of the sender, or the title of the button or row they chose.
SAYS = {
    "text": {"body": "VARCHAR"},
    "image": {"caption": "VARCHAR"},
    "video": {"caption": "VARCHAR"},
    "document": {"caption": "VARCHAR"},
    "button": {"text": "VARCHAR"},
    "interactive": {
        "button_reply": {"title": "VARCHAR"},
        "list_reply": {"title": "VARCHAR"},
    },
}
MESSAGE = {
    "id": "VARCHAR",
    **SAYS,
    "edit": {"original_message_id": "VARCHAR", "message": SAYS},
}
MESSAGES = {"messages": [MESSAGE], "message_echoes": [MESSAGE]}
VALUE = {**MESSAGES, "standby": MESSAGES, "history": [{"threads": [{"messages": [MESSAGE]}]}]}
WEBHOOK = {"entry": [{"id": "VARCHAR", "changes": [{"value": VALUE}]}]}

TABLE = """
create table texts.marts.fct_message_text (
    portfolio_id varchar not null,
    message_id varchar not null,
    customer_key varchar,
    message_text varchar not null,
    received_at timestamp not null
)
"""

TEXTS = """
insert into texts.marts.fct_message_text
with

webhooks as (

    select
        landing_file,
        line_number,
        received_at,
        -- what cannot be read is no webhook with a text
        try(from_json(body, '{shape}')) as body
    from warehouse.raw.webhook
    where received_at >= $since

),

entries as (

    select
        * exclude (body),
        unnest(body.entry) as entry
    from webhooks

),

changes as (

    select
        * exclude (entry),
        entry.id as waba_id,
        unnest(entry.changes).value as value
    from entries

),

messages as (

    select
        * exclude (value),
        unnest(
            list_concat(
                value.messages,
                value.message_echoes,
                value.standby.messages,
                value.standby.message_echoes,
                flatten(list_transform(
                    flatten(list_transform(value.history, lambda part: part.threads)),
                    lambda thread: thread.messages
                ))
            )
        ) as message
    from changes

),

said as (

    select
        * exclude (message),
        message.id as message_id,
        coalesce({said}, {said_anew}) as message_text
    from messages

),

-- An edit says anew what another message says.
shown as (

    select distinct
        portfolio_id,
        landing_file,
        line_number,
        waba_id,
        message_id,
        coalesce(original_message_id, message_id) as said_by_message_id,
        occurred_at
    from warehouse.intermediate.int_identity__observation
    where observation_kind in ('message', 'echo', 'history')

),

newest as (

    select
        shown.portfolio_id,
        shown.said_by_message_id as message_id,
        said.message_text,
        said.received_at
    from said
    inner join shown using (landing_file, line_number, waba_id, message_id)
    where said.message_text is not null
    qualify
        row_number() over (
            partition by shown.portfolio_id, shown.said_by_message_id
            order by shown.occurred_at desc, shown.message_id <> shown.said_by_message_id desc, said.received_at
        ) = 1

),

final as (

    select
        messages.portfolio_id,
        messages.message_id,
        messages.customer_key,
        newest.message_text,
        newest.received_at
    from newest
    inner join warehouse.marts.fct_message as messages using (portfolio_id, message_id)
    where
        messages.revoked_at is null
        and messages.unassigned_reason is distinct from 'quarantined'

)

select * from final
order by customer_key, message_id
"""

COMMENTS = """
comment on table texts.marts.fct_message_text is
'Grain: one row per message with a text. What people wrote; join it to fct_message by portfolio_id and message_id.';
comment on column texts.marts.fct_message_text.portfolio_id is 'Portfolio of the message.';
comment on column texts.marts.fct_message_text.message_id is 'WhatsApp message id (wamid).';
comment on column texts.marts.fct_message_text.customer_key is 'Customer as in fct_message; null where it has none.';
comment on column texts.marts.fct_message_text.message_text is
'The text, the caption, or the title of the button or row that was chosen, as it was edited last. What was unsent is not here.';
comment on column texts.marts.fct_message_text.received_at is
'When the webhook with this text came in (UTC); RETENTION_DAYS counts from then.';
"""


def first_of(message: str) -> str:
    """SQL for what a message says: the first of what it may hold that is not empty."""

    def leaves(shape: dict, path: str) -> list[str]:
        return [
            leaf
            for name, inner in shape.items()
            for leaf in (
                leaves(inner, f"{path}.{name}")
                if isinstance(inner, dict)
                else [f"nullif({path}.{name}, '')"]
            )
        ]

    return f"coalesce({', '.join(leaves(SAYS, message))})"


def write_texts(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    published_at: datetime,
    retention_days: int | None,
) -> None:
    """Write the texts of what the database attached as `warehouse` publishes, none older than the retention."""
    since = published_at - timedelta(days=retention_days) if retention_days else datetime.min
    connection.execute(f"attach {quoted(file)} as texts (row_group_size 16384)")
    connection.execute("begin")
    connection.execute("create schema texts.marts")
    connection.execute(TABLE)
    connection.execute(
        TEXTS.format(
            shape=json.dumps(WEBHOOK),
            said=first_of("message"),
            said_anew=first_of("message.edit.message"),
        ),
        {"since": since},
    )
    connection.execute(COMMENTS)
    connection.execute("commit")
    connection.execute("checkpoint texts")
    connection.execute("detach texts")
