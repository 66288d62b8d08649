"""How soon the dashboard's pages answer on many customers: python -m tests.benchmarks.pages [--customers 1000000]

Publishes the sample's marts so many times over, each copy with keys and identifiers of its own, sorted as publishing sorts
them, and opens every page twice: the first time with nothing remembered, then once more. Seconds of one page run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from orchestration.publish import FUNCTIONS, publish
from orchestration.settings import Settings
from orchestration.versions import PARQUET, published_path
from tests.build import ROOT, Build
from tests.conftest import read_csv

# Columns that tell one customer from another; nulls stay null.
OWN = {
    "customer_key", "enterprise_customer_key", "former_customer_key", "left_customer_key",
    "right_customer_key", "current_bsuid", "bsuid", "username", "current_username", "phone_e164",
    "wa_id", "phone", "identifier_value", "message_id", "thread_id", "review_id", "crm_contact_id",
}  # fmt: skip
# What is typed into which box of a page.
SEARCHED = {
    "customer": [("asked", "gabi"), ("asked", "a"), ("asked", "+55 11 90000-0028")],
    "review": [("searched", "guilherme"), ("searched", "5511900000028")],
    "crm": [("searched", "C-1007x7")],
}
# As many rows in a warehouse of any size.
ONCE = {
    "bsp_readiness_daily", "calling_code", "dim_business_number", "fct_identity_transition_daily", "dim_date", "publication",
    "identity_change_log",
}  # fmt: skip


def multiply(source: Path, target: Path, copies: int) -> int:
    """Write the published file so many times over; returns its customers."""
    connection = duckdb.connect()
    connection.execute(f"attach '{source}' as one (read_only)")
    connection.execute(f"attach '{target}' as many (row_group_size 8192)")
    connection.execute(
        "create schema many.marts; create schema many.gate; create schema many.lookup"
    )
    names = connection.execute(
        "select schema_name || '.' || table_name, table_name from duckdb_tables() "
        "where database_name = 'one' and table_name <> 'identifier'"
    ).fetchall()
    for path, name in names:
        columns = [row[0] for row in connection.execute(f"describe one.{path}").fetchall()]
        own = [f"{column} || 'x' || copy as {column}" for column in columns if column in OWN]
        copied = f"* replace ({', '.join(own)})" if own else "*"
        order = next((c for c in ("identifier_value", "customer_key") if c in columns), None)
        connection.execute(
            f"create table many.{path} as select {copied} "
            f"from one.{path}, range({1 if name in ONCE else copies}) as copies (copy) "
            + (f"order by {order}" if order else "")
        )
    connection.execute("use many")
    connection.execute(FUNCTIONS.read_text())  # makes lookup.identifier
    connection.execute("use memory")
    (count,) = connection.execute("select count(*) from many.marts.dim_customer").fetchone()
    connection.close()
    return count


def seconds(app: AppTest) -> float:
    """Of one run of the page. Raises RuntimeError when it shows an error."""
    started = time.perf_counter()
    app.run()
    if app.exception or app.error:
        raise RuntimeError(str([found.value for found in (*app.exception, *app.error)]))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        build = Build(Path(folder) / "build")
        sample = (ROOT / "seeds" / "sample" / "webhooks").rglob("*.*")
        for path in sample:
            (build.landing / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
        build.run((), seeds={path.stem: read_csv(path) for path in (ROOT / "seeds").glob("*.csv")})
        settings = Settings(warehouse_path=build.warehouse, publish_dir=Path(folder) / PARQUET)
        publish(settings)
        os.environ["PUBLISH_DIR"] = folder
        with duckdb.connect(str(published_path(settings)), read_only=True) as published:
            (customers,) = published.execute("select count(*) from marts.dim_customer").fetchone()
        copies = -(-arguments.customers // customers)
        count = multiply(published_path(settings), published_path(Settings()), copies)
        with duckdb.connect(str(published_path(Settings())), read_only=True) as published:
            [(key,)] = published.execute(
                "select customer_key from marts.dim_customer where current_bsuid = ?",
                ["BR.2000000000000023x7"],
            ).fetchall()
        print(f"{count:,} customers\n{'page':22}{'first':>8}{'again':>8}")
        config.set_option("server.address", "localhost")
        app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=600)
        app.run()
        st.cache_data.clear()
        for page in ("overview", "numbers", "customer", "review", "capture", "crm"):
            if page != "overview":
                app.switch_page(f"views/{page}.py")
            app.query_params["id"] = key if page == "customer" else ""
            print(f"{page:22}{seconds(app):8.2f}{seconds(app):8.2f}", flush=True)
            for box, text in SEARCHED.get(page, ()):
                app.text_input(key=box).set_value(text)
                print(f"  {text:20}{seconds(app):8.2f}{seconds(app):8.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
