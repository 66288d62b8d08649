"""What one would write by hand in an afternoon: parse, pair, join everything, one row per customer.

python -m tests.benchmarks.yardstick LANDING DATABASE

No checks, no history, no runs that add. Adding must be far faster than this starts over.
"""

import sys
import time

import duckdb
import numpy
import pyarrow
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHAPE = """{"entry": [{"id": "VARCHAR", "changes": [{"value": {
    "contacts": [{"wa_id": "VARCHAR", "user_id": "VARCHAR", "profile": {"name": "VARCHAR"}}],
    "messages": [{"id": "VARCHAR", "from": "VARCHAR", "from_user_id": "VARCHAR", "timestamp": "VARCHAR"}],
    "statuses": [{"id": "VARCHAR", "recipient_id": "VARCHAR", "recipient_user_id": "VARCHAR", "timestamp": "VARCHAR"}]
}}]}]}"""

ITEMS = f"""
create table item as
with changes as (
    select entry.id as waba_id, unnest(entry.changes).value as value
    from (select unnest(from_json(body, '{SHAPE}').entry) as entry from raw)
)
select
    waba_id, message.id as message_id, message.from as phone, message.from_user_id as bsuid,
    contacts[1].profile.name as name, message.timestamp as seen_at
from (select waba_id, value.contacts as contacts, unnest(value.messages) as message from changes)
union all
select waba_id, status.id, status.recipient_id, status.recipient_user_id, null, status.timestamp
from (select waba_id, unnest(value.statuses) as status from changes)
"""

NODES = """
create table node as
select id, cast(row_number() over () - 1 as integer) as number
from (
    select waba_id || phone as id from item where phone is not null
    union
    select waba_id || bsuid as id from item where bsuid is not null
)
"""

EDGES = """
select phone.number as a, bsuid.number as b
from (
    select distinct waba_id || phone as phone, waba_id || bsuid as bsuid
    from item where phone is not null and bsuid is not null
) as pair
join node as phone on phone.id = pair.phone
join node as bsuid on bsuid.id = pair.bsuid
"""

OWNED = """
create table owned as
select item.*, coalesce(by_bsuid.customer, by_phone.customer) as customer
from item
left join customer_of as by_bsuid on by_bsuid.id = waba_id || bsuid
left join customer_of as by_phone on by_phone.id = waba_id || phone
"""


def start_over(landing: str, database: str) -> dict[str, float]:
    """Seconds to read, to parse and to join everything."""
    connection = duckdb.connect(database)
    connection.execute("set preserve_insertion_order = false")
    marks = [time.perf_counter()]

    def done() -> None:
        marks.append(time.perf_counter())

    connection.execute(
        "create table raw as select json -> 'body' as body "
        f"from read_ndjson_objects('{landing}/**/*.jsonl', ignore_errors = true)"
    )
    done()
    connection.execute(ITEMS)
    done()
    connection.execute(NODES)
    edges = connection.execute(EDGES).fetchnumpy()
    (size,) = connection.execute("select count(*) from node").fetchone()
    graph = coo_array((numpy.ones(len(edges["a"]), "int8"), (edges["a"], edges["b"])), (size, size))
    labels = connected_components(graph, directed=False)[1]
    connection.register(
        "label", pyarrow.table({"number": numpy.arange(size, dtype="int32"), "customer": labels})
    )
    connection.execute(
        "create table customer_of as select id, customer from node join label using (number)"
    )
    connection.execute(OWNED)
    connection.execute(
        "create table message as select message_id, any_value(customer) as customer, min(seen_at) as first_at "
        "from owned group by message_id"
    )
    connection.execute(
        "create table customer as select customer, max(bsuid) as bsuid, max(phone) as phone, "
        "arg_max(name, seen_at) as name, min(seen_at) as first_at, max(seen_at) as last_at, "
        "count(*) as item_count from owned group by customer"
    )
    connection.execute("checkpoint")
    done()
    return dict(zip(("read", "parse", "join"), numpy.diff(marks), strict=True))


if __name__ == "__main__":
    print(" ".join(f"{name} {seconds:.1f}" for name, seconds in start_over(*sys.argv[1:3]).items()))
