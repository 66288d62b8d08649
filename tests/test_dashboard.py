"""The dashboard's pages over the published sample: what they show is what the marts say."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import data, queries
from orchestration.versions import published_path
from orchestration.settings import Settings
from tests.build import ROOT

VIEWS = ["overview", "numbers", "customer", "review", "capture", "crm"]
GABI = "BR.2000000000000023"


@pytest.fixture
def page(published_sample, monkeypatch):
    """Opens a page: `page("review")` over the sample, unmasked with `show_pii=True`."""
    monkeypatch.delenv("SHOW_PII", raising=False)
    monkeypatch.setenv("PUBLISH_DIR", str(published_sample.publish_dir))

    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    opened = []

    def open_page(
        name: str, asked: str = "", portfolio_id: str | None = None, show_pii: bool = False
    ) -> AppTest:
        monkeypatch.setenv("SHOW_PII", str(show_pii))
        app.session_state["portfolio_id"] = portfolio_id
        if name != "overview":
            if not opened:
                app.run()
            app.switch_page(f"views/{name}.py")
        opened.append(name)
        app.query_params["id"] = asked
        return healthy(app.run())

    yield open_page
    st.cache_data.clear()


@pytest.fixture
def sql(published_sample):
    """Rows of a query of the published sample."""
    with duckdb.connect(str(published_path(published_sample)), read_only=True) as published:
        yield lambda query, *values: published.execute(query, list(values)).fetchall()


@pytest.fixture
def other(published_sample, tmp_path, monkeypatch):
    """Publishes a copy of the sample, changed by statements; returns its folder."""

    def publish(*statements: str) -> Path:
        fresh = tmp_path / "fresh.duckdb"
        shutil.copy(published_path(published_sample), fresh)
        with duckdb.connect(str(fresh)) as changed:
            for statement in statements:
                changed.execute(statement)
        monkeypatch.setenv("PUBLISH_DIR", str(tmp_path))
        fresh.replace(tmp_path / "customers.duckdb")
        return tmp_path

    return publish


def healthy(app: AppTest) -> AppTest:
    """The app, if it drew its page. Raises AssertionError."""
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value
    return app


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def everything(app: AppTest) -> bytes:
    """All that is sent to the browser."""
    return b"\n".join(
        element.proto.SerializeToString()
        for block in (app.main, app.sidebar)
        for element in elements(block)
    )


def elements(block):
    for child in block.children.values():
        if hasattr(child, "children"):
            yield from elements(child)
        elif hasattr(child, "proto"):
            yield child


def tables_without(condition: str) -> list[str]:
    """Statements that delete the rows of every mart about customers that meet a condition."""
    customers = f"(select customer_key from marts.dim_customer where {condition})"
    by_key = [
        "bridge_customer_business_number",
        "crm_contact_audit",
        "dim_customer_history",
        "dim_customer_identifier",
        "fct_message",
        "identity_link",
        "phone_capture_worklist",
    ]
    return [
        *(f"delete from marts.{table} where customer_key in {customers}" for table in by_key),
        *(f"delete from marts.{table}" for table in ("identity_review", "bsp_readiness_daily")),
        "delete from marts.fct_identity_transition_daily",
        f"delete from marts.dim_customer where {condition}",
    ]


# --- Figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("portfolio_id", [None, "100000000000001", "100000000000002"])
def test_the_overview_counts_what_the_marts_hold(page, sql, portfolio_id):
    chosen = f"where portfolio_id = '{portfolio_id}'" if portfolio_id else "where true"
    [(customers, linked, hidden, in_review)] = sql(
        f"""
        select count(*), sum((identity_stage = 'linked')::int), sum((phone_status = 'hidden')::int),
            sum(needs_review::int)
        from marts.dim_customer {chosen}
        """
    )
    [(at_risk,)] = sql(
        f"""
        select sum(at_risk_customers)
        from marts.fct_identity_transition_daily {chosen}
            and activity_date = (select as_of::date from marts.publication)
        """
    )
    shown = metrics(page("overview", portfolio_id=portfolio_id))
    assert shown["Customers"] == str(customers)
    assert shown["Linked"] == f"{linked / customers:.0%}"
    assert shown["Phone hidden"] == str(hidden)
    assert shown["Phone at risk"] == str(at_risk)
    assert shown["In review"] == str(in_review)


def test_the_last_week_of_the_charts_is_today_and_events_are_all_there(page, sql):
    page("overview")
    weeks = data.rows(queries.TRANSITION_WEEKLY, portfolio_id=None)
    by_stage = dict(sql("select identity_stage, count(*) from marts.dim_customer group by all"))
    assert {stage: weeks[stage][0] for stage in by_stage} == by_stage
    [(rotations, hidden)] = sql(
        "select sum(rotations), sum(phone_hidden_messages) from marts.fct_identity_transition_daily"
    )
    assert weeks["rotations"].sum() == rotations > 0
    assert weeks["phone_not_shown"].sum() == hidden > 0


def test_readiness_is_that_of_the_last_28_days(page, sql):
    app = page("numbers")
    shown = app.dataframe[0].value.set_index("phone_number_id")
    recent = sql(
        """
        select phone_number_id, sum(message_count + status_count),
            sum(phone_share * (message_count + status_count)) / sum(message_count + status_count)
        from marts.bsp_readiness_daily
        where activity_date > (select as_of::date - 28 from marts.publication)
        group by all
        """
    )
    assert recent
    for number, events, share in recent:
        assert shown["events"][number] == events
        assert shown["phone_share"][number] == pytest.approx(share)
    quiet = set(shown.index) - {number for number, _, _ in recent}
    assert set(shown["readiness"][list(quiet)]) == {"– quiet"}
    assert metrics(app)["✓ ready"] == str((shown["readiness"] == "✓ ready").sum())
    windows = dict(
        sql(
            """
            select phone_number_id, count(*) from marts.bridge_customer_business_number
            where phone_window_status = 'closing' group by all
            """
        )
    )
    closing = shown["closing_windows"]
    assert {number: count for number, count in closing.items() if count} == windows


# --- One customer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        "BR.1000000000000023",
        GABI,
        "+55 (21) 98000-0023",
        "21 98000 0023",
        "5521980000023",
        "wamid.number-change-typed.5",
    ],
)
def test_a_customer_is_found_by_anything_it_went_by(page, sql, asked):
    [(key,)] = sql(
        "select customer_key from marts.dim_customer_identifier where identifier_value = ?", GABI
    )
    if asked.startswith("wamid"):
        [(asked,)] = sql(
            "select max(message_id) from marts.fct_message where customer_key = ?", key
        )
    app = page("customer", asked)
    assert [header.value for header in app.header] == ["Gabi Freire"]
    assert any(key in caption.value for caption in app.caption)


def test_a_customer_shows_identifiers_links_messages_and_the_row_that_cuts_it(page, sql):
    app = page("customer", GABI, show_pii=True)
    identifiers, links, messages, windows = (frame.value for frame in app.dataframe)
    [(key,)] = sql("select customer_key from marts.dim_customer where current_bsuid = ?", GABI)
    held = sql(
        "select identifier_value from marts.dim_customer_identifier where customer_key = ?", key
    )
    assert sorted(identifiers["Identifier"]) == sorted(value for (value,) in held)
    assert list(links["One side"]) == ["bsuid:BR.1000000000000023"]
    assert links["Why"][0].startswith("R2: succession")
    said = sql(
        "select message_id from marts.fct_message where customer_key = ? order by occurred_at desc",
        key,
    )
    assert list(messages["message_id"]) == [name for (name,) in said]
    # the history runs across the change of number
    assert {"BR.1000000000000023", GABI} <= set(messages["bsuid"])
    assert messages["wa_id"].nunique() == 2
    numbers = sql(
        "select phone_number_id from marts.bridge_customer_business_number where customer_key = ?",
        key,
    )
    assert sorted(windows["phone_number_id"]) == sorted(number for (number,) in numbers)
    assert app.code[0].value == (
        "100000000000001,bsuid,BR.1000000000000023,,bsuid,BR.2000000000000023,,cannot_link,,,,"
    )


def test_a_number_with_two_holders_offers_both_today_s_first(page):
    app = page("customer", "+55 (11) 90000-0028")
    [offered] = app.main.selectbox
    assert offered.label.startswith("2 customers")
    assert [option.split(" (")[0] for option in offered.options] == ["Otávio Neri", "Bruna Maia"]
    assert [header.value for header in app.header] == ["Otávio Neri"]
    offered.select_index(1)
    assert [header.value for header in healthy(app.run()).header] == ["Bruna Maia"]


def test_a_former_key_leads_to_its_customer(page, sql, other):
    [(key,)] = sql("select customer_key from marts.dim_customer where current_bsuid = ?", GABI)
    former = "0" * 32
    other(
        "insert into marts.customer_key_redirect "
        f"values ('{former}', '{key}', 'merged', timestamp '2026-05-01')"
    )
    assert [header.value for header in page("customer", former).header] == ["Gabi Freire"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [("nobody at all", "Nobody is known as"), ("wamid.never-reached.1", "never_reached")],
)
def test_who_is_not_found_is_told_why(page, asked, sentence):
    [info] = page("customer", asked).info
    assert sentence in info.value.replace("\\", "")


def test_a_name_that_is_markdown_stays_text(page, other):
    other(
        "update marts.dim_customer set profile_name = '![x](http://example.com/x.png)' "
        f"where current_bsuid = '{GABI}'"
    )
    [header] = page("customer", GABI).header
    assert "\\!\\[x\\]\\(http" in header.value


# --- Lists ----------------------------------------------------------------------------------------


def test_the_review_queue_is_filtered_and_gives_the_row_to_copy(page, sql):
    app = page("review")
    assert len(app.dataframe[0].value) == len(sql("from marts.identity_review"))
    app.multiselect[0].set_value(["possible_missed_rotation"])
    app = healthy(app.run())
    [(row,)] = sql(
        "select override_row from marts.identity_review where kind = 'possible_missed_rotation'"
    )
    assert len(app.dataframe[0].value) == 1
    app.text_input(key="author").set_value("Rita")
    app.text_input(key="reason").set_value("She says so, ticket 12")
    code = healthy(app.run()).code[0].value
    assert code.startswith(row.removesuffix(",,,,") + ",Rita,2")
    assert code.endswith(',"She says so, ticket 12",')


def test_the_review_queue_is_searched_by_phone_and_by_score(page, sql):
    app = page("review")
    app.text_input(key="searched").set_value("5511900000028")
    app = healthy(app.run())
    assert set(app.dataframe[0].value["kind"]) == {"Phone with two BSUIDs"}
    app.text_input(key="searched").set_value("")
    app.slider[0].set_value(0.5)
    app = healthy(app.run())
    [(count,)] = sql("select count(*) from marts.identity_review where score >= 0.5")
    assert len(app.dataframe[0].value) == count
    app.text_input(key="searched").set_value("no such thing")
    assert not healthy(app.run()).dataframe


def test_a_masked_override_row_says_that_it_does_not_work(page):
    for show_pii in (False, True):
        app = page("review", show_pii=show_pii)
        app.multiselect[0].set_value(["backfill_declined"])
        app = healthy(app.run())
        assert ("•" in app.code[0].value) is not show_pii
        warned = any("the row works only" in caption.value for caption in app.caption)
        assert warned is not show_pii


def test_the_worklist_is_that_of_the_mart_and_filtered(page, sql):
    app = page("capture")
    shown = app.dataframe[0].value
    assert len(shown) == len(sql("from marts.phone_capture_worklist"))
    assert list(shown["priority"]) == sorted(shown["priority"])
    app.multiselect[0].set_value(["hidden"])
    app = healthy(app.run())
    keys = sql(
        "select customer_key from marts.phone_capture_worklist where capture_reason = 'hidden'"
    )
    links = {f"customer?id={key}" for (key,) in keys}
    assert set(app.dataframe[0].value["customer_key"]) == links


def test_opted_out_customers_can_be_left_out_of_the_worklist(page, sql, other):
    other("update marts.phone_capture_worklist set marketing_opt_out = (priority = 1)")
    app = page("capture")
    before = len(app.dataframe[0].value)
    app.checkbox[0].uncheck()
    assert len(healthy(app.run()).dataframe[0].value) == before - 2


def test_the_audit_counts_verdicts_and_is_filtered_and_searched(page, sql):
    app = page("crm")
    verdicts = dict(sql("select verdict, count(*) from marts.crm_contact_audit group by all"))
    shown = metrics(app)
    assert shown["Linked"] == str(verdicts["linked"])
    assert shown["Stale number"] == str(verdicts["stale_number"])
    app.multiselect[0].set_value(["stale_number"])
    app = healthy(app.run())
    assert len(app.dataframe[0].value) == verdicts["stale_number"]
    app.text_input(key="searched").set_value("C-1007")
    assert list(healthy(app.run()).dataframe[0].value["crm_contact_id"]) == ["C-1007"]


def test_a_csv_runs_no_formula_of_a_stranger(page, other):
    other("update marts.phone_capture_worklist set profile_name = '=1+1' where priority = 1")
    page("capture")
    rows = data.read(queries.CAPTURE, portfolio_id=None, reasons=(), with_opted_out=True, most=10)
    lines = data.csv(rows).splitlines()
    assert lines[0].startswith("priority,profile_name,username")
    assert lines[1].startswith("1,'=1+1,")


# --- Masking --------------------------------------------------------------------------------------


def phones(sql) -> list[bytes]:
    """Every phone of the sample, as the marts write it and as people did."""
    rows = sql(
        """
        select distinct identifier_value from marts.dim_customer_identifier
        where identifier_type = 'phone'
        union
        select crm_phone from marts.crm_contact_audit where regexp_matches(crm_phone, '[0-9]')
        """
    )
    return [phone.encode() for (phone,) in rows]


def test_no_phone_leaves_a_page_unless_it_is_asked_for(page, sql):
    for name, asked in [
        ("overview", ""),
        ("numbers", ""),
        ("customer", "BR.1000000000000004"),  # adopted a stretch of phone-only history
        ("customer", GABI),
        ("review", ""),
        ("capture", ""),
        ("crm", ""),
    ]:
        sent = everything(page(name, asked))
        assert [phone for phone in phones(sql) if phone in sent] == [], name
    for name, asked in [("customer", "BR.1000000000000004"), ("review", ""), ("crm", "")]:
        sent = everything(page(name, asked, show_pii=True))
        assert any(phone in sent for phone in phones(sql)), name


def test_no_phone_is_in_a_download_unless_it_is_asked_for(page, sql, monkeypatch):
    page("crm")
    filters = {"portfolio_id": None, "verdicts": (), "text": "", "most": 1000}
    masked = data.csv(data.read(queries.CRM, **filters)).encode()
    assert not any(phone in masked for phone in phones(sql))
    monkeypatch.setenv("SHOW_PII", "1")
    shown = data.csv(data.read(queries.CRM, **filters)).encode()
    assert any(phone in shown for phone in phones(sql))


# --- What is published ----------------------------------------------------------------------------


def test_it_says_so_when_nothing_is_published(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PUBLISH_DIR", str(tmp_path))
    for name in VIEWS:
        assert [title.value for title in page(name).title] == ["Nothing is published yet"]


def test_an_empty_warehouse_has_its_pages(page, other):
    other(*tables_without("true"), "delete from marts.crm_contact_audit")
    for name in VIEWS:
        app = page(name, GABI)
        assert app.title and len(app.info) == 1, name


def test_a_warehouse_of_one_customer_has_its_pages(page, other):
    other(*tables_without(f"current_bsuid is distinct from '{GABI}'"))
    for name in VIEWS:
        app = page(name, GABI)
        if name == "overview":
            assert metrics(app)["Customers"] == "1"
        if name == "customer":
            assert [header.value for header in app.header] == ["Gabi Freire"]


def test_a_new_version_is_read_as_soon_as_it_is_published(page, sql, other):
    other()
    app = page("overview")
    [(before,)] = sql("select count(*) from marts.dim_customer")
    assert metrics(app)["Customers"] == str(before)
    other("delete from marts.dim_customer where identity_stage = 'bsuid_only'")
    [(after,)] = sql("select count(*) from marts.dim_customer where identity_stage <> 'bsuid_only'")
    assert metrics(healthy(app.run()))["Customers"] == str(after)


def test_a_file_that_is_none_of_ours_is_told_in_a_sentence(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PUBLISH_DIR", str(tmp_path))
    (tmp_path / "customers.duckdb").write_text("no database")
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert "publish again" in app.error[0].value


def test_a_wrong_setting_is_told_in_a_sentence(page, monkeypatch):
    monkeypatch.setenv("SHOW_PII", "perhaps")
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert "SHOW_PII=perhaps is not usable" in app.error[0].value


def test_settings_of_the_dashboard_do_not_start_a_run_over(monkeypatch):
    from orchestration.work import state

    assert state(Settings(show_pii=True)) == state(Settings())
