"""The metrics answer from the published file, with the numbers that plain SQL on the marts gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import duckdb
import pytest
import yaml

from orchestration.versions import published_path
from tests.build import ROOT
from tests.conftest import read_csv


def mf(settings, *arguments: str) -> subprocess.CompletedProcess:
    """Run MetricFlow as `make metrics` does."""
    environment = {
        **os.environ,
        "WAREHOUSE_PATH": str(settings.warehouse_path),
        "PUBLISH_DIR": str(settings.publish_dir),
    }
    return subprocess.run(
        [sys.executable, "-m", "orchestration.metrics", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def answer(settings, folder, *arguments: str) -> list[dict[str, str]]:
    """The rows of a query; numbers as MetricFlow writes them."""
    path = folder / "answer.csv"
    done = mf(settings, "query", *arguments, "--csv", str(path), "--decimals", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    return read_csv(path)


@pytest.fixture(scope="module")
def marts(published_sample):
    with duckdb.connect(str(published_path(published_sample)), read_only=True) as connection:
        yield connection


def test_the_transition_ends_where_the_customers_are(published_sample, marts, tmp_path):
    query = ("--saved-query", "transition_by_month", "--order", "metric_time__month")
    rows = answer(published_sample, tmp_path, *query)
    assert [row["metric_time__month"][:7] for row in rows][0::13] == ["2025-10", "2026-11"]
    customers, linked, named, at_risk = marts.execute(
        """
        select count(*), count(*) filter (where identity_stage = 'linked'), count(username),
            count(*) filter (where phone_status in ('window_closing', 'window_closed'))
        from marts.dim_customer
        """
    ).fetchone()
    last = rows[-1]
    assert int(last["customers"]) == customers
    assert float(last["share_linked"]) == pytest.approx(linked / customers, abs=1e-5)
    assert float(last["share_with_username"]) == pytest.approx(named / customers, abs=1e-5)
    assert float(last["share_at_risk"]) == pytest.approx(at_risk / customers, abs=1e-5)
    told = marts.execute("select sum(rotations) from marts.fct_identity_transition_daily")
    assert sum(int(row["rotations"]) for row in rows) == told.fetchone()[0]


def test_service_is_told_by_business_number_and_country(published_sample, marts, tmp_path):
    groups = "thread__phone_number_id,customer__country_code"
    metrics = "threads,writing_customers,repeat_customers,answered_share,response_minutes"
    rows = answer(published_sample, tmp_path, "--metrics", metrics, "--group-by", groups)
    found = {
        (row["thread__phone_number_id"], row["customer__country_code"] or None): tuple(
            float(row[name]) if row[name] else None for name in metrics.split(",")
        )
        for row in rows
    }
    wanted = marts.execute(
        """
        select phone_number_id, country_code, count(*), count(distinct customer_key),
            count(distinct customer_key) filter (where is_repeat), avg(is_answered::int),
            median(response_seconds / 60)
        from marts.fct_inbound_thread inner join marts.dim_customer using (customer_key)
        group by all
        """
    ).fetchall()
    assert found.keys() == {row[:2] for row in wanted}
    for number, country, *values in wanted:
        assert found[number, country] == pytest.approx(tuple(values), abs=1e-5)


def test_every_metric_answers(published_sample, tmp_path):
    written = yaml.safe_load((ROOT / "dbt_project/models/semantic/_metrics.yml").read_text())
    names = [metric["name"] for metric in written["metrics"]]
    [row] = answer(
        published_sample,
        tmp_path,
        *("--metrics", ",".join(names), "--group-by", "metric_time__year"),
        *("--where", "{{ TimeDimension('metric_time', 'year') }} = '2026-01-01'"),
    )
    assert len(names) == 19
    assert not [name for name in names if row[name] == ""]


def test_what_a_webhook_says_gives_the_terminal_no_orders(published_sample, tmp_path):
    shutil.copytree(published_sample.publish_dir, tmp_path / "published", symlinks=True)
    settings = published_sample.model_copy(update={"publish_dir": tmp_path / "published"})
    with duckdb.connect(str(published_path(settings))) as published:
        published.execute(
            "update marts.fct_inbound_thread set phone_number_id = concat('Ana', chr(27), ']0;owned', chr(7), chr(8238))"
        )
    query = ("query", "--metrics", "threads", "--group-by", "thread__phone_number_id")
    done = mf(settings, *query)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ana\ufffd]0;owned\ufffd\ufffd" in done.stdout
    where = (
        "--where",
        "{{ Dimension('thread__phone_number_id') }}::integer = 1",
    )  # the error quotes it
    done = mf(settings, *query, *where)
    assert done.returncode != 0
    assert not [
        order for order in ("\x1b]", "\x07", "\u202e") if order in done.stdout + done.stderr
    ]


def test_without_a_publication_it_says_so(tmp_path, published_sample):
    done = mf(published_sample.model_copy(update={"publish_dir": tmp_path}), "list", "metrics")
    assert done.returncode == 1
    assert "Nothing is published" in done.stderr
