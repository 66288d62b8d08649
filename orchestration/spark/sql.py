"""DuckDB's SQL, in which all models are written, as Spark's.

sqlglot parses the one and writes the other; here is what it leaves open. `WORDS` has what is said by another
expression, `Translation` what takes a query apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp, parse_one

Scope = Mapping[str, exp.CTE]

# Written for Databricks, whose SQL is Spark 4's; what sqlglot takes for Spark's is older and has no QUALIFY.
TARGET = "databricks"
# The two ways in which models write a time.
TIME_FORMATS = {
    "%Y-%m-%dT%H:%M:%S.%f": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
    "%Y-%m-%dT%H:%M:%S.%fZ": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'",
}


def call(name: str, *arguments: exp.Expression | None) -> exp.Anonymous:
    """A function as it is named: sqlglot would change some of those it knows."""
    given = [argument.copy() for argument in arguments if argument is not None]
    return exp.Anonymous(this=name, expressions=given)


def array(elements: list[exp.Expression]) -> exp.Anonymous:
    return call("array", *elements)


def best(name: str) -> Callable[[exp.Func], exp.Expression]:
    """DuckDB passes over rows whose value is null as well, Spark over those whose order is."""

    def said(node: exp.Func) -> exp.Expression:
        is_there = exp.Not(this=exp.Is(this=exp.paren(node.this.copy()), expression=exp.null()))
        return call(name, node.this, call("if", is_there, node.expression, exp.null()))

    return said


def hashed(*values: exp.Expression) -> exp.Expression:
    """A number of 63 bits, which DuckDB's UBIGINT and Spark's BIGINT both hold; to Spark's hash nulls are not there."""
    parts = [part for value in values for part in (value, call("isnull", value))]
    return exp.paren(
        exp.BitwiseAnd(this=call("xxhash64", *parts), expression=exp.Literal.number(2**63 - 1))
    )


def position(elements: exp.Expression, wanted: exp.Expression) -> exp.Expression:
    """Where an element is not there, DuckDB says null, Spark 0."""
    return call("nullif", call("array_position", elements, wanted), exp.Literal.number(0))


def resized(elements: exp.Expression, size: exp.Expression) -> exp.Expression:
    padded = call("concat", elements, call("array_repeat", exp.null(), size))
    return call("slice", padded, exp.Literal.number(1), size)


# Functions that sqlglot does not know.
FUNCTIONS: Mapping[str, Callable[..., exp.Expression]] = {
    "hash": hashed,
    "list_min": lambda elements: call("array_min", elements),
    "list_position": position,
    "list_resize": resized,
}


def function(node: exp.Anonymous) -> exp.Expression:
    said = FUNCTIONS.get(node.name.lower())
    return said(*node.expressions) if said else node.copy()


def concatenated(node: exp.ArrayConcat) -> exp.Expression:
    """To DuckDB a list that is null is empty, to Spark it makes all null."""
    lists = [node.this, *node.expressions]
    is_nothing = exp.Is(this=call("coalesce", *lists), expression=exp.null())
    return call("if", is_nothing, exp.null(), call("flatten", call("array_compact", array(lists))))


def element(node: exp.Bracket) -> exp.Expression:
    """Beyond a list's end DuckDB finds null, Spark an error."""
    (place,) = node.expressions
    if isinstance(place, exp.Slice):
        size = place.expression.copy() - place.this.copy() + 1
        return call("slice", node.this, place.this, size)
    if place.is_int:  # sqlglot counts literals from 0
        place = exp.Literal.number(int(place.name) + 1)
    place = call("nullif", exp.cast(place.copy(), "int"), exp.Literal.number(0))
    return call("try_element_at", node.this, place)


def signed(node: exp.DataType) -> exp.Expression:
    is_hash = node.this == exp.DataType.Type.UBIGINT
    return exp.DataType.build("bigint") if is_hash else node.copy()


def difference(node: exp.DateDiff) -> exp.Expression:
    """DuckDB counts the beginnings of days between two times, Spark whole days."""
    unit = exp.Literal.string(node.args["unit"].name)
    start, end = (call("date_trunc", unit, time) for time in (node.expression, node.this))
    return call("timestampdiff", exp.var(unit.name), start, end)


def interval(node: exp.Interval) -> exp.Expression:
    """Spark takes no expression for a number of days but as a factor."""
    one = exp.Interval(this=exp.Literal.string("1"), unit=node.args["unit"].copy())
    return node.copy() if node.this.is_string else exp.paren(node.this.copy()) * one


def series(node: exp.GenerateSeries) -> exp.Expression:
    """Spark's sequence counts down to an end that lies before its start."""
    start, end = node.args["start"], node.args["end"]
    if not node.args.get("is_end_exclusive"):
        return call("sequence", start, end, node.args.get("step"))
    return call(
        "slice", call("sequence", start, end), exp.Literal.number(1), end.copy() - start.copy()
    )


def window(node: exp.Window) -> exp.Expression:
    """Spark counts no distinct values in a window, but collects them."""
    said = node.copy()
    count = said.find(exp.Count)
    if count is None or not isinstance(count.this, exp.Distinct):
        return said
    count.replace(call("collect_set", *count.this.expressions))
    return call("size", said)


def replaced(node: exp.RegexpReplace) -> exp.Expression:
    r"""What DuckDB calls \1 is $1 to Spark."""
    said = node.copy()
    said.set(
        "replacement", exp.Literal.string(re.sub(r"\\(\d)", r"$\1", node.args["replacement"].name))
    )
    return said


def whole_match(node: exp.RegexpFullMatch) -> exp.Expression:
    start, end = exp.Literal.string(r"\A(?:"), exp.Literal.string(r")\z")
    pattern = call("concat", start, node.expression, end)
    return exp.paren(exp.RegexpLike(this=node.this.copy(), expression=pattern))


def written_time(node: exp.TimeToStr) -> exp.Expression:
    pattern = TIME_FORMATS[node.args["format"].name]
    return call("date_format", node.this, exp.Literal.string(pattern))


WORDS: Mapping[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.Anonymous: function,
    exp.ArgMax: best("max_by"),
    exp.ArgMin: best("min_by"),
    exp.ArrayConcat: concatenated,
    exp.ArrayPosition: lambda node: position(node.this, node.expression),
    exp.Bracket: element,
    exp.DataType: signed,
    exp.DateDiff: difference,
    exp.GenerateSeries: series,
    exp.Interval: interval,
    exp.Length: lambda node: call("size", node.this),  # models ask it of lists alone
    exp.RegexpFullMatch: whole_match,
    exp.RegexpReplace: replaced,
    exp.TimeToStr: written_time,
    exp.UnixToTime: lambda node: exp.cast(call("timestamp_micros", node.this), "timestamp_ntz"),
    exp.Window: window,
}


class Translation:
    """Translates statements; asks `columns_of` for the columns of a query in Spark's SQL, and `work_out` for its rows.

    `work_out` gets a query of DuckDB's and, by name, the queries of Spark's whose rows it reads; it returns the name of
    a view that shows its rows. It is asked for what Spark has no words for: recursion that stops at rows that it has
    met, and connected components.
    """

    def __init__(
        self,
        columns_of: Callable[[str], list[str]],
        work_out: Callable[[str, Mapping[str, str]], str],
    ) -> None:
        self.columns_of = columns_of
        self.work_out = work_out

    def __call__(self, statement: str) -> str:
        return write(self.query(parse_one(statement, read="duckdb"), {}))

    def query(self, query: exp.Query, scope: Scope) -> exp.Query:
        """Translates a query, which may read the CTEs of `scope`, in place; returns it."""
        known = dict(scope)
        if with_ := query.args.get("with_"):
            for cte in with_.expressions:
                cte.set("materialized", None)
                if is_beyond_spark(cte.this):
                    self.hand_over(cte, known)
                else:
                    self.query(cte.this, known)
                known[cte.alias] = cte
        for inner in list(below(query)):
            self.query(inner, known)
        if isinstance(query, exp.Select):
            for join in query.args.get("joins") or ():
                if join.method == "ASOF":
                    take_nearest(join)
                elif join.kind in ("SEMI", "ANTI"):
                    join.set("side", "LEFT")
            self.repeat_aliases(query, known)
            replace_columns(query)
            spread_lists(query)
        say(query)
        if isinstance(query, exp.SetOperation) and query.args.get("by_name"):
            self.put_in_order(query, known)
        return query

    def repeat_aliases(self, select: exp.Select, scope: Scope) -> None:
        """Columns made of ones before them: to filter, group or order by, Spark wants what those are made of."""
        is_plain = not select.args.get("group") and not select.find(exp.Window)
        made: dict[str, exp.Expression] = {}
        uses = []
        for place in [*select.expressions, select.args.get("where")]:
            if place and not (is_plain and place in select.expressions):
                columns = (node for node in own_nodes(place) if isinstance(node, exp.Column))
                uses += [column for column in columns if not column.table and column.name in made]
            if isinstance(place, exp.Alias):
                made[place.alias] = place.this
        if uses:
            rows = exp.select("*")
            rows.set("from_", select.args["from_"].copy())
            rows.set("joins", [join.copy() for join in select.args.get("joins") or ()])
            columns = self.columns(rows, scope)
            for use in uses:
                if use.name not in columns:
                    use.replace(exp.paren(made[use.name].copy()))

    def put_in_order(self, union: exp.SetOperation, scope: Scope) -> None:
        """`union all by name`, which Spark lacks: both sides get all columns, in one order."""
        sides = {side: self.columns(union.args[side], scope) for side in ("this", "expression")}
        names = dict.fromkeys(itertools.chain(*sides.values()))
        for side, own in sides.items():
            columns = [
                exp.column(name, quoted=True)
                if name in own
                else exp.alias_(exp.null(), name, quoted=True)
                for name in names
            ]
            union.set(side, exp.select(*columns).from_(union.args[side].subquery("side")))
        union.set("by_name", False)

    def columns(self, query: exp.Query, scope: Scope) -> list[str]:
        if "*" in query.named_selects:
            return self.columns_of(within(scope, query))
        return query.named_selects

    def hand_over(self, cte: exp.CTE, scope: Scope) -> None:
        own = {inner.alias for inner in cte.this.find_all(exp.CTE)}
        read = {table.name for table in cte.this.find_all(exp.Table)} - own
        rows = {name: within(scope, exp.select("*").from_(name)) for name in read}
        view = self.work_out(cte.this.sql("duckdb"), rows)
        cte.set("this", exp.select("*").from_(view))


def write(node: exp.Expression) -> str:
    return node.sql(TARGET)


def within(scope: Scope, query: exp.Query) -> str:
    """A query in Spark's SQL, after the CTEs that it may read."""
    ctes = ", ".join(write(cte) for cte in scope.values())
    return f"with {ctes} select * from ({write(query)})" if ctes else write(query)


def below(node: exp.Expression) -> Iterator[exp.Query]:
    """The queries right below this one, those of its CTEs aside."""
    for child in node.iter_expressions():
        if isinstance(child, exp.With):
            continue
        if isinstance(child, exp.Select | exp.SetOperation):
            yield child
        else:
            yield from below(child)


def own_nodes(query: exp.Query) -> Iterator[exp.Expression]:
    """The expressions of a query without those of the queries in it, each after what it consists of."""
    for child in query.iter_expressions():
        if not isinstance(child, exp.With | exp.Query) or isinstance(child, exp.Subquery):
            yield from own_nodes(child)
            yield child


def say(query: exp.Query) -> None:
    for node in list(own_nodes(query)):
        if said := WORDS.get(type(node)):
            node.replace(said(node))


def is_beyond_spark(query: exp.Query) -> bool:
    """Whether its own CTEs recur, or one of them, which has none of its own, asks for components."""
    with_ = query.args.get("with_")
    if with_ is None:
        return False
    innermost = [cte.this for cte in with_.expressions if not cte.this.args.get("with_")]
    functions = (function for inner in innermost for function in inner.find_all(exp.Anonymous))
    return bool(with_.args.get("recursive")) or any(f.name == "components_of" for f in functions)


def replace_columns(select: exp.Select) -> None:
    """`* replace (...)`: the columns that are replaced are left out and put last."""
    for star in list(select.find_all(exp.Star)):
        for column in star.args.get("replace") or ():
            star.append("except_", exp.column(column.alias))
            select.append("expressions", column.copy())
        star.set("replace", None)


def spread_lists(select: exp.Select) -> None:
    """Makes rows of lists as DuckDB does."""
    spots = [spot for projection in select.expressions for spot in spread(projection)]
    place = spots[0].parent if len(spots) == 1 and isinstance(spots[0], exp.Explode) else None
    if spots and select.args.get("group"):
        group_first(select)
    elif place is select:
        show_fields(spots[0])
    elif spots and not isinstance(place, exp.Alias):
        put_side_by_side(select, spots)


def show_fields(spot: exp.Explode) -> None:
    """Unnested without a name: the columns are the fields of a struct, or of a list of them."""
    is_list = isinstance(spot.this, exp.Array)
    spot.replace(call("inline", spot.this if is_list else array([spot.this])))


def put_side_by_side(select: exp.Select, spots: list[exp.Expression]) -> None:
    """Of several lists DuckDB shows the elements side by side, Spark all beside all."""
    lists = [call("coalesce", elements_of(spot), array([])) for spot in spots]
    for number, spot in enumerate(spots):
        place = exp.to_identifier(str(number), quoted=True)
        spot.replace(exp.Dot(this=exp.column("element", "side_by_side"), expression=place))
    names = exp.TableAlias(
        this=exp.to_identifier("side_by_side"), columns=[exp.to_identifier("element")]
    )
    zipped = call("explode", call("arrays_zip", *lists))
    select.append("laterals", exp.Lateral(this=zipped, view=True, alias=names))


def group_first(select: exp.Select) -> None:
    """Spark makes no rows of a list in the query that makes the list."""
    grouped = select.copy()
    grouped.set("with_", None)
    for projection in grouped.expressions:
        for spot in list(spread(projection)):
            spot.replace(spot.this)
    say(grouped)
    columns = [
        exp.alias_(exp.Explode(this=exp.column(name)), name)
        if any(spread(projection))
        else exp.column(name)
        for name, projection in zip(grouped.named_selects, select.expressions, strict=True)
    ]
    for part in ("joins", "where", "group", "having"):
        select.set(part, None)
    select.set("expressions", columns)
    select.set("from_", exp.From(this=grouped.subquery("grouped")))


def spread(node: exp.Expression) -> Iterator[exp.Expression]:
    """What makes rows of lists in an expression."""
    if isinstance(node, exp.Explode) or node.name == "generate_subscripts":
        yield node
    elif not isinstance(node, exp.Query):
        for child in node.iter_expressions():
            yield from spread(child)


def elements_of(spot: exp.Expression) -> exp.Expression:
    """The list whose elements, or whose elements' numbers from 1, are made rows of."""
    if isinstance(spot, exp.Explode):
        return spot.this
    number = exp.Lambda(
        this=exp.column("place") + 1,
        expressions=[exp.to_identifier("element"), exp.to_identifier("place")],
    )
    return call("transform", spot.expressions[0], number)


def take_nearest(join: exp.Join) -> None:
    """`asof left join`: Spark has the inequality apart from what must be equal."""
    (bound,) = join.args["on"].find_all(exp.GT, exp.GTE, exp.LT, exp.LTE)
    equal = [condition for condition in join.args["on"].flatten() if condition is not bound]
    join.set("method", None)
    join.set("kind", "ASOF")
    join.set("match_condition", bound)
    join.set("on", exp.and_(*equal))
