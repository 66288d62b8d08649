"""What DuckDB's SQL becomes, where Spark means something else by it: each is run by both."""

from __future__ import annotations

import duckdb
import pytest

from orchestration.spark.session import open_session, run

ROWS = "(values (1, 'a', 5), (2, 'b', 9), (3, null, 4), (3, 'c', null)) as rows (id, name, number)"

QUERIES = {
    "the nearest row": """
        with steps as (select 3 as id, unnest([1, 3, 7]) as step)
        select numbers.id, step
        from (select * from {rows}) as numbers asof left join steps on numbers.id = steps.id and number > step
    """,
    "lists side by side": "select unnest([1, 2]) as a, unnest([3, 4, 5]) as b, generate_subscripts([6, 7, 8], 1) as c",
    "a list that is made here": "select unnest(list_distinct(list(number))) as n from {rows} where id < 3 group by name is null",
    "columns by name": "select id, name from {rows} union all by name select 4 as number, 9 as id",
    "the best of what is there": "select arg_max(name, id) as last, arg_min(name, number) as least from {rows}",
    "beyond a list's end": "select [1, 2][3] as nothing, [1, 2][2] as two, [1, 2][id - id] as no from {rows}",
    "a part of a list": "select len([1, 2][1:0]) as none, list_resize([1], 2) as two",
    "what is not in a list": "select list_position(['a'], name) as p from {rows}",
    "lists of which one is missing": "select list_concat([1], null, [2]) as both",
    "beginnings of days": "select date_diff('day', timestamp '2026-05-01 23:00', timestamp '2026-05-02 01:00') as days",
    "a whole match": "select regexp_full_match('ab' || chr(10), 'a.') as m, regexp_full_match('ab', 'a|b') as n",
    "what a pattern has found": r"select regexp_replace('a1b2', '([a-z])[0-9]', '\1', 'g') as letters",
    "distinct values in a window": "select id, count(distinct name) over (partition by id) as names from {rows}",
    "an alias that a filter uses": "select id + 1 as next_id from {rows} where next_id > 2",
    "an alias that a group uses": "select id + 1 as next_id, next_id * 2 as twice, count(*) as n from {rows} group by all",
    "replaced columns": "select * replace (id * 2 as id) from {rows}",
    "recursion through what was met": """
        with edges as (select * from (values (1, 2), (2, 1), (2, 3)) as edges (l, r)),
        met as (
            with recursive met as (
                select 1 as n union select r as n from met inner join edges on n = l
            )
            select * from met
        )
        select * from met
    """,
    "no row but an empty list's": "select unnest(range(0, id - 1)) as n from {rows}",
}


@pytest.fixture(scope="module")
def spark():
    return open_session()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_both_find_the_same_rows(spark, query: str):
    query = query.format(rows=ROWS)
    expected = duckdb.sql(query)
    found = run(spark, query)
    places = [found.columns.index(column) for column in expected.columns]
    rows = [tuple(row[place] for place in places) for row in found.collect()]
    assert sorted(rows, key=repr) == sorted(expected.fetchall(), key=repr)
