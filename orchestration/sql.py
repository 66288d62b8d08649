"""A read-only SQL prompt on the published file: `make sql`, or with a query as arguments."""

import code
import contextlib
import io
import sys

import duckdb

from orchestration.explain import open_published
from orchestration.settings import Settings, UserError
from orchestration.terminal import inert


class Prompt(code.InteractiveConsole):
    """Reads SQL up to a semicolon and shows what it gives."""

    def __init__(self, published: duckdb.DuckDBPyConnection) -> None:
        super().__init__()
        self.published = published

    def runsource(self, source: str, filename: str = "", symbol: str = "") -> bool:
        if not source.strip():
            return False
        if not source.rstrip().endswith(";"):
            return True
        try:
            show(self.published, source)
        except duckdb.Error as error:
            self.write(inert(f"{error}\n"))  # it may quote a value
        return False


def show(published: duckdb.DuckDBPyConnection, query: str) -> None:
    """Print what a query gives, if it gives rows."""
    rows = published.sql(query)
    if rows is not None:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            rows.show(max_width=160)
        print(inert(shown.getvalue()), end="")


def main() -> int:
    """Show one query's result, or prompt for queries until end of file."""
    try:
        published = open_published(Settings.of_readers())
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    with published:
        if len(sys.argv) > 1:
            try:
                show(published, " ".join(sys.argv[1:]))
            except duckdb.Error as error:
                print(inert(f"Error: {error}"), file=sys.stderr)
                return 1
            return 0
        sys.ps1, sys.ps2 = "sql> ", "...> "
        tables = "select table_name, estimated_size as rows, comment from duckdb_tables() where schema_name = 'marts'"
        show(published, tables)
        Prompt(published).interact("End a query with a semicolon; leave with Ctrl-D.", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
