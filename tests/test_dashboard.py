"""The dashboard's pages over the published sample: what they show is what the marts say."""

from __future__ import annotations

import ast
import csv
import io
import re
import shutil
import threading
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import access, data, decisions, graph, queries, words
from orchestration.explain import Explanation, Link
from orchestration.seeds import read_seed
from orchestration.settings import Settings
from orchestration.versions import published_path
from tests.build import ROOT

VIEWS = ["overview", "numbers", "customer", "review", "capture", "crm"]
GABI = "BR.2000000000000023"


@pytest.fixture(scope="session")
def sample_of_pages(published_sample, tmp_path_factory) -> Settings:
    """The published sample in a folder of its own."""
    settings = Settings(publish_dir=tmp_path_factory.mktemp("pages"))
    shutil.copy(published_path(published_sample), published_path(settings))
    return settings


@pytest.fixture(autouse=True)
def seeds(tmp_path, monkeypatch) -> Path:
    """SEEDS_DIR: a copy, so that no test writes into the repository's own."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, folder)
    monkeypatch.setenv("SEEDS_DIR", str(folder))
    return folder


@pytest.fixture
def page(sample_of_pages, monkeypatch):
    """Opens a page: `page("review")` over the sample, unmasked with `show_pii=True`."""
    monkeypatch.delenv("SHOW_PII", raising=False)
    monkeypatch.setenv("PUBLISH_DIR", str(sample_of_pages.publish_dir))
    before = config.get_option("server.address")
    config.set_option("server.address", "localhost")

    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    opened = []

    def open_page(
        name: str,
        key: str = "",
        portfolio_id: str | None = None,
        show_pii: bool = False,
        language: str = "en",
    ) -> AppTest:
        monkeypatch.setenv("SHOW_PII", str(show_pii))
        app.session_state["portfolio_id"] = portfolio_id
        app.session_state["language"] = language
        if name != "overview":
            if not opened:
                app.run()
            app.switch_page(f"views/{name}.py")
        opened.append(name)
        app.query_params["id"] = key
        return healthy(app.run())

    yield open_page
    config.set_option("server.address", before)
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def sql(sample_of_pages):
    """Rows of a query of the published sample."""
    with duckdb.connect(str(published_path(sample_of_pages)), read_only=True) as published:
        yield lambda query, *values: published.execute(query, list(values)).fetchall()


@pytest.fixture
def key_of(sql):
    """The customer_key of a BSUID."""

    def find(bsuid: str) -> str:
        [(key,)] = sql(
            "select customer_key from marts.dim_customer_identifier where identifier_value = ?",
            bsuid,
        )
        return key

    return find


@pytest.fixture
def other(sample_of_pages, tmp_path, monkeypatch):
    """Publishes a copy of the sample, changed by statements; returns its folder."""

    def publish(*statements: str) -> Path:
        fresh = tmp_path / "fresh.duckdb"
        shutil.copy(published_path(sample_of_pages), fresh)
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
    [(customers, linked)] = sql(
        f"select count(*), sum((identity_stage = 'linked')::int) from marts.dim_customer {chosen}"
    )
    [(at_risk,)] = sql(
        f"""
        select sum(at_risk_customers)
        from marts.fct_identity_transition_daily {chosen}
            and activity_date = (select as_of::date from marts.publication)
        """
    )
    [(questions,)] = sql(f"select count(*) from marts.identity_review {chosen}")
    [(to_ask,)] = sql(f"select count(*) from marts.phone_capture_worklist {chosen}")
    app = page("overview", portfolio_id=portfolio_id)
    shown = metrics(app)
    assert shown["Known by both"] == f"{linked / customers:.0%}"
    assert shown["Number at risk"] == str(at_risk)
    assert shown["Questions to answer"] == str(questions)
    assert shown["Customers to ask"] == str(to_ask)
    assert any(f"**{linked} of {customers}** customers" in text.value for text in app.markdown)


def test_this_week_stands_beside_the_last_one(page, sql):
    app = page("overview")
    shown = {metric.label: metric for metric in app.metric}
    weeks = sql(
        """
        select sum(phone_hidden_messages) / sum(phone_hidden_messages + phone_visible_messages)
        from marts.fct_identity_transition_daily, marts.publication
        where activity_date > as_of::date - 14
        group by activity_date > as_of::date - 7
        order by activity_date > as_of::date - 7
        """
    )
    (before,), (now,) = weeks
    assert shown["Messages without a number"].value == f"{now:.0%}"
    assert shown["Messages without a number"].delta == f"{100 * (now - before):+.1f} pp"


def weekly_rows() -> pd.DataFrame:
    [days] = data.rows(queries.DAYS).itertuples()
    return data.rows(
        queries.TRANSITION_WEEKLY,
        portfolio_id=None,
        first_day=days.first_day,
        last_day=days.last_day,
    )


def test_the_last_week_of_the_charts_is_today_and_events_are_all_there(page, sql):
    page("overview")
    weeks = weekly_rows()
    by_stage = dict(sql("select identity_stage, count(*) from marts.dim_customer group by all"))
    assert {stage: weeks[stage][0] for stage in by_stage} == by_stage
    [(rotations, hidden)] = sql(
        "select sum(rotations), sum(phone_hidden_messages) from marts.fct_identity_transition_daily"
    )
    assert weeks["rotations"].sum() == rotations > 0
    assert weeks["phone_not_shown"].sum() == hidden > 0


def test_a_period_ends_the_charts_on_its_last_day(page, sql):
    app = page("overview")
    app.date_input(key="period").set_value((pd.Timestamp("2026-06-01"), pd.Timestamp("2026-07-05")))
    app = healthy(app.run())
    assert any("5 Jul 2026" in caption.value for caption in app.caption)


def test_readiness_is_that_of_the_last_28_days(page, sql):
    app = page("numbers")
    shown = app.dataframe[0].value
    called = {name: one for one, name in data.names()["phone_number_id"].items()}
    shown = shown.assign(phone_number_id=shown["phone_number_id"].map(called)).set_index(
        "phone_number_id"
    )
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


def search(app: AppTest, asked: str, at: str | None = None) -> list[str]:
    """The names that are suggested."""
    app.text_input(key="asked").set_value(asked)
    app.date_input(key="at").set_value(pd.Timestamp(at).date() if at else None)
    return [button.label.strip("*") for button in healthy(app.run()).main.button]


@pytest.mark.parametrize(
    "asked",
    [
        "BR.1000000000000023",
        GABI,
        "+55 (21) 98000-0023",
        "21 98000 0023",
        "5521980000023",
        "wamid",
        "key",
        "gabi",
        "FREIRE gab",
    ],
)
def test_a_customer_is_found_by_anything_it_went_by(page, sql, key_of, asked):
    key = key_of(GABI)
    if asked == "wamid":
        [(asked,)] = sql(
            "select max(message_id) from marts.fct_message where customer_key = ?", key
        )
    app = page("customer")
    found = search(app, key if asked == "key" else asked)
    assert found == ["Gabi Freire"]
    app.main.button[0].click()
    assert [header.value for header in healthy(app.run()).header] == ["Gabi Freire"]
    # the address holds the key alone, whatever was typed
    assert app.query_params["id"] == key
    assert app.text_input(key="asked").value == ""


def test_a_name_is_found_without_its_accents_and_who_begins_so_comes_first(page):
    app = page("customer")
    assert "Júlia Campos" in search(app, "julia")
    assert search(app, "ma")[0].startswith("Ma")


def test_what_is_no_key_does_not_stay_in_the_address(page):
    app = page("customer", "5521980000023")
    assert "id" not in app.query_params
    assert not app.header
    assert len(app.info) == 1


def test_a_customer_tells_its_story_and_shows_links_messages_and_the_row_that_cuts_it(
    page, sql, key_of
):
    key = key_of(GABI)
    app = page("customer", key, show_pii=True)
    [story] = [text.value for text in app.markdown if text.value.startswith("Known since")]
    assert "Wrote from **5511900000023** from 2 May 2026 until 9 Sep 2026" in story
    assert "then changed the number. Writes from **5521980000023** since 9 Sep 2026." in story
    assert "Known by 2 phone number(s) and 2 WhatsApp ID(s)." in story
    identifiers, links, messages, windows = (frame.value for frame in app.dataframe)
    held = sql(
        "select identifier_value from marts.dim_customer_identifier where customer_key = ?", key
    )
    assert sorted(identifiers["identifier"]) == sorted(value for (value,) in held)
    assert list(links["one_side"]) == ["bsuid:BR.1000000000000023"]
    assert "(R2, " in links["why"][0]
    said = sql(
        "select message_id from marts.fct_message where customer_key = ? order by occurred_at desc",
        key,
    )
    assert list(messages["message_id"]) == [name for (name,) in said]
    # the history runs across the change of number
    assert {"BR.1000000000000023", GABI} <= set(messages["bsuid"])
    assert messages["wa_id"].nunique() == 2
    assert len(windows) == len(
        sql("from marts.bridge_customer_business_number where customer_key = ?", key)
    )
    assert set(windows["phone_number_id"]) <= set(data.names()["phone_number_id"].values())
    assert app.code[0].value == (
        "100000000000001,bsuid,BR.1000000000000023,,bsuid,BR.2000000000000023,,cannot_link,,,,"
    )


def test_a_number_with_two_holders_offers_both_today_s_first_and_one_as_of_a_day(page):
    app = page("customer")
    assert search(app, "+55 (11) 90000-0028") == ["Otávio Neri", "Bruna Maia"]
    assert search(app, "5511900000028", "2026-05-20") == ["Bruna Maia"]
    assert search(app, "5511900000028", "2020-01-01") == []
    assert "1 Jan 2020" in app.info[0].value


def test_a_customer_is_told_as_of_a_day(page, key_of):
    app = page("customer", key_of(GABI), show_pii=True)
    app.date_input(key="at").set_value(pd.Timestamp("2026-06-01").date())
    story = " ".join(text.value for text in healthy(app.run()).markdown)
    assert re.search(r"On 1 Jun 2026: .*\*\*5511900000023\*\*", story)


def test_a_former_key_leads_to_its_customer(page, key_of, other):
    former = "0" * 32
    other(
        "insert into marts.customer_key_redirect "
        f"values ('{former}', '{key_of(GABI)}', 'merged', timestamp '2026-05-01')"
    )
    assert [header.value for header in page("customer", former).header] == ["Gabi Freire"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [("nobody at all", "Nobody is known as"), ("wamid.never-reached.1", "Never reached")],
)
def test_who_is_not_found_is_told_why(page, asked, sentence):
    app = page("customer")
    assert search(app, asked) == []
    assert sentence in app.info[0].value


def test_a_name_that_is_markdown_stays_text(page, key_of, other):
    other(
        "update marts.dim_customer set profile_name = '![x](http://example.com/x.png)' "
        f"where current_bsuid = '{GABI}'"
    )
    [header] = page("customer", key_of(GABI)).header
    assert "\\!\\[x\\]\\(http" in header.value


def chain(count: int) -> Explanation:
    """A customer of so many BSUIDs, one after the other."""
    nodes = [f"bsuid:BR.{place:016}" for place in range(count)]
    links = [
        Link(one, other, "R2", "typed", 1, "wamid.x", pd.Timestamp("2026-05-01"))
        for one, other in zip(nodes, nodes[1:], strict=False)
    ]
    return Explanation({}, nodes, [], links, [])


def test_a_graph_of_fifty_nodes_is_set_in_rows(page):
    page("overview")
    drawn = graph.dot(chain(50), lambda kind, value: value)
    assert drawn.count("rank=same") == -(-50 // graph.ROW)
    assert drawn.count("[label=") == 50 + 49
    assert "rank=same" not in graph.dot(chain(3), lambda kind, value: value)


# --- Lists ----------------------------------------------------------------------------------------


def questions(app: AppTest) -> int:
    """How many the page says are open."""
    found = [re.match(r"\*\*(\d+)\*\* open", text.value) for text in app.markdown]
    return next((int(one[1]) for one in found if one), 0)


def ask(app: AppTest, kind: str) -> AppTest:
    """The review page at the questions of a kind."""
    app.multiselect[0].set_value([kind])
    return healthy(app.run())


def decide(app: AppTest, name: str, author: str = "Rita", reason: str = "She says so") -> AppTest:
    """Answers the question that is shown, up to the second click."""
    if author:
        app.text_input(key="author").set_value(author)
    app.text_input(key="reason").set_value(reason)
    app.button(key=name).click()
    return healthy(app.run())


def test_an_answer_is_shown_with_its_effect_saved_with_its_author_and_undone_by_one_click(
    page, sql, seeds
):
    file = seeds / "identity_overrides.csv"
    before = file.read_bytes()
    app = decide(ask(page("review"), "possible_missed_rotation"), "same")
    assert any("become one customer with 4 messages" in text.value for text in app.markdown)
    assert file.read_bytes() == before
    app.button(key="confirm").click()
    app = healthy(app.run())
    assert any("1 answered" in caption.value for caption in app.caption)
    [(asked,)] = sql(
        "select override_row from marts.identity_review where kind = 'possible_missed_rotation'"
    )
    [(_, row)] = read_seed(seeds, "identity_overrides")[2:]
    assert ",".join(list(row.values())[:8]) == ",".join(asked.split(",")[:8])
    assert (row["author"], row["reason"], row["decision"]) == ("Rita", "She says so", "must_link")
    assert pd.Timestamp.now("UTC").tz_localize(None) - pd.Timestamp(row["decided_at"]) < (
        pd.Timedelta(minutes=5)
    )
    assert questions(app) == 0
    assert any("Rita" in text.value and "from the next run" in text.value for text in app.markdown)
    app.button(key="undo_0").click()
    app = healthy(app.run())
    assert file.read_bytes() == before
    assert questions(app) == 1


def test_the_evidence_is_found_in_its_file_when_asked_for(page, sample_build, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_PATH", str(sample_build.warehouse))
    app = ask(page("review"), "possible_missed_rotation")
    [button] = [one for one in app.main.button if one.label == "Show file and line"]
    button.click()
    captions = [caption.value for caption in healthy(app.run()).main.caption]
    assert any(re.search(r"The webhook is at .*\.jsonl:\d+\.", one) for one in captions)


def test_nothing_is_saved_without_who_and_why(page, seeds):
    app = decide(ask(page("review"), "possible_missed_rotation"), "same", author="", reason="")
    assert app.button(key="confirm").disabled


def test_different_people_keeps_them_apart(page, seeds):
    app = decide(ask(page("review"), "backfill_declined"), "different")
    assert any("stay two customers" in text.value for text in app.markdown)
    app.button(key="confirm").click()
    healthy(app.run())
    [(_, row)] = read_seed(seeds, "identity_overrides")[2:]
    assert row["decision"] == "cannot_link"
    # masked on the screen, whole in the file: else it would not work
    assert re.fullmatch(r"55119000000\d\d", row["left_value"])


def test_the_effect_of_parting_tells_what_goes_where(page):
    app = decide(ask(page("review"), "succession_cycle"), "different")
    [told] = [
        text.value
        for text in app.markdown
        if "becomes two" in text.value or "stays one" in text.value
    ]
    assert "PT" in told or "other evidence" in told


def test_several_of_one_kind_are_answered_at_once(page, sql, seeds):
    app = page("review")
    app.selectbox(key="bulk_kind").set_value("phone_two_bsuids")
    app = healthy(app.run())
    [(ids,)] = sql(
        "select list(review_id) from marts.identity_review where kind = 'phone_two_bsuids'"
    )
    app.multiselect(key="bulk_phone_two_bsuids").set_value(ids)
    app.radio[0].set_value("different")
    app.text_input(key="bulk_author").set_value("Rita")
    app.text_input(key="bulk_reason").set_value("New owners, all of them")
    app = healthy(app.run())
    app.button(key="bulk_save").click()
    healthy(app.run())
    rows = [row for _, row in read_seed(seeds, "identity_overrides")[2:]]
    assert len(rows) == len(ids) == 2
    assert {row["decision"] for row in rows} == {"cannot_link"}


def test_later_hides_a_question_for_all_until_it_is_asked_for(page, seeds):
    app = ask(page("review"), "possible_missed_rotation")
    app.text_input(key="author").set_value("Rita")
    app = healthy(app.run())
    app.button(key="later").click()
    app = healthy(app.run())
    assert questions(app) == 0
    assert len(decisions.waiting()) == 1
    app.toggle(key="show_put_off").set_value(True)
    assert questions(healthy(app.run())) == 1


def test_without_write_access_the_row_is_offered_to_copy(page, sql, monkeypatch):
    monkeypatch.setattr(decisions, "is_writable", lambda: False)
    for show_pii in (False, True):
        app = ask(page("review", show_pii=show_pii), "backfill_declined")
        assert app.button(key="same").disabled
        assert any("cannot be written" in info.value for info in app.info)
        same, different = (code.value for code in app.code)
        assert ("must_link" in same, "cannot_link" in different) == (True, True)
        assert ("•" in same) is not show_pii
        assert any("masked" in caption.value for caption in app.main.caption) is not show_pii


def test_a_viewer_looks_and_does_not_answer(page, monkeypatch):
    monkeypatch.setattr(access, "decider", lambda: None)
    app = ask(page("review"), "possible_missed_rotation")
    assert app.button(key="same").disabled
    assert any("may look but not answer" in info.value for info in app.info)


def test_the_sample_s_own_file_is_named_when_seeds_dir_is_not_set(page, monkeypatch):
    monkeypatch.delenv("SEEDS_DIR")
    app = page("review")
    assert any("sample's own file" in caption.value for caption in app.caption)


def test_many_who_answer_at_once_lose_no_row(seeds):
    row = "100000000000001,bsuid,BR.1,,bsuid,BR.2,,must_link,,,,"
    before = (seeds / "identity_overrides.csv").read_bytes()
    kept = []

    def work(name: int) -> None:
        for turn in range(10):
            [line] = decisions.append([decisions.answer(row, "must_link", f"{name}", f"{turn}")])
            if turn % 2:
                decisions.undo(line)
            else:
                kept.append(line)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (seeds / "identity_overrides.csv").read_bytes()
    assert text.startswith(before)
    assert sorted(text[len(before) :].decode().splitlines()) == sorted(kept)
    assert len(read_seed(seeds, "identity_overrides")) == 2 + 30


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_row_fits_the_file_it_is_added_to(seeds, end):
    """A spreadsheet may have saved it with a mark, other line ends or columns in another order."""
    file = seeds / "identity_overrides.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    text = table[sorted(table.columns)].to_csv(index=False, lineterminator=end or "\n")
    file.write_bytes(("\ufeff" + (text if end else text.rstrip("\n"))).encode())
    row = "100000000000001,bsuid,BR.1,,bsuid,BR.2,,must_link,,,,"
    [line] = decisions.append(
        [decisions.answer(row, "cannot_link", "Rita, lead", 'He said "no",\nthen left')]
    )
    rows = [row for _, row in read_seed(seeds, "identity_overrides")]
    assert len(rows) == 3
    assert rows[2]["author"] == "Rita, lead"
    assert rows[2]["reason"] == 'He said "no", then left'
    decisions.undo(line)
    assert len(read_seed(seeds, "identity_overrides")) == 2
    with pytest.raises(decisions.Gone):
        decisions.undo(line)


def test_the_review_queue_is_searched_by_phone_and_name(page, sql):
    app = page("review")
    app.text_input(key="searched").set_value("+55 11 90000-0028")
    app = healthy(app.run())
    assert set(app.dataframe[0].value["kind"]) == {"Number changed hands"}
    app.text_input(key="searched").set_value("guilherme")
    assert questions(healthy(app.run())) == 1
    app.text_input(key="searched").set_value("no such thing")
    assert not healthy(app.run()).dataframe


def test_the_worklist_is_that_of_the_mart_and_filtered(page, sql):
    app = page("capture")
    shown = app.dataframe[0].value
    assert len(shown) == len(sql("from marts.phone_capture_worklist"))
    by_priority = sql("select customer_key from marts.phone_capture_worklist order by priority")
    assert list(shown["customer_key"]) == [f"customer?id={key}" for (key,) in by_priority]
    assert set(shown["ask_from_phone_number_id"]) <= set(data.names()["phone_number_id"].values())
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
    assert len(healthy(app.run()).dataframe[0].value) == before - 1


def test_the_audit_counts_verdicts_and_is_filtered_and_searched(page, sql):
    app = page("crm")
    verdicts = dict(sql("select verdict, count(*) from marts.crm_contact_audit group by all"))
    shown = metrics(app)
    assert shown["Known by both"] == str(verdicts["linked"])
    assert shown["Number is old"] == str(verdicts["stale_number"])
    app.multiselect[0].set_value(["stale_number"])
    app = healthy(app.run())
    assert len(app.dataframe[0].value) == verdicts["stale_number"]
    app.text_input(key="searched").set_value("C-1007")
    assert list(healthy(app.run()).dataframe[0].value["crm_contact_id"]) == ["C-1007"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r@", " =", "＝", "\n="])
def test_a_csv_runs_no_formula_of_a_stranger(start):
    name = f"{start}HYPERLINK(1;2)"
    rows = pd.DataFrame({"profile_name": [name], "reason": [name], "wa_id": [name]})
    [_, line] = csv.reader(io.StringIO(data.csv(rows).decode("utf-8-sig"), newline=""))
    assert [cell[0] for cell in line] == ["'"] * 3
    assert all(cell.endswith(name.strip()) for cell in line)


def test_a_csv_opens_in_a_spreadsheet_with_every_digit():
    rows = pd.DataFrame(
        {
            "customer_key": ["00000000000000000000000000000012"],
            "crm_phone": ["+55 (11) 90000-0001"],
            "portfolio_id": ["100000000000000001"],
            "profile_name": ["Júlia"],
            "first_seen_at": [pd.Timestamp("2026-05-01 10:00:00")],
            "score": [0.5],
        }
    )
    text = data.csv(rows)
    assert text.startswith(b"\xef\xbb\xbf")
    [_, line] = csv.reader(io.StringIO(text.decode("utf-8-sig")))
    assert line == [
        '="00000000000000000000000000000012"',
        '="+55 (11) 90000-0001"',
        '="100000000000000001"',
        "Júlia",
        "2026-05-01 10:00:00",
        "0.5",
    ]
    [_, plain] = csv.reader(io.StringIO(data.csv(rows, for_excel=False).decode()))
    assert plain[:3] == list(rows.iloc[0, :3])


@pytest.mark.parametrize("value", ['5511")&cmd|x', "+5511=1+1", "=1+1", '"', "-2+3"])
def test_an_id_that_is_no_id_is_inert_too(value):
    rows = pd.DataFrame({"crm_phone": [value], "crm_contact_id": [value]})
    for line in list(csv.reader(io.StringIO(data.csv(rows).decode("utf-8-sig"))))[1:]:
        for cell in line:
            assert cell[0] not in "=+-@" or re.fullmatch(r'="[^"]*"', cell)


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


def test_no_phone_leaves_a_page_unless_it_is_asked_for(page, sql, key_of):
    for name, asked in [
        ("overview", ""),
        ("numbers", ""),
        ("customer", key_of("BR.1000000000000004")),  # adopted a stretch of phone-only history
        ("customer", key_of(GABI)),
        ("review", ""),
        ("capture", ""),
        ("crm", ""),
    ]:
        sent = everything(page(name, asked))
        assert [phone for phone in phones(sql) if phone in sent] == [], name
    for name, asked in [
        ("customer", key_of("BR.1000000000000004")),
        ("review", ""),
        ("crm", ""),
    ]:
        sent = everything(page(name, asked, show_pii=True))
        assert any(phone in sent for phone in phones(sql)), name


def test_no_phone_is_in_a_download_unless_it_is_asked_for(page, sql, monkeypatch):
    page("crm")
    filters = {"portfolio_id": None, "verdicts": (), "text": "", "digits": "", "phones": ()}
    filters["most"] = 1000
    masked = data.csv(data.read(queries.CRM, **filters))
    assert not any(phone in masked for phone in phones(sql))
    monkeypatch.setenv("SHOW_PII", "1")
    shown = data.csv(data.read(queries.CRM, **filters))
    assert any(phone in shown for phone in phones(sql))


def test_a_masked_phone_is_found_in_whole_and_never_by_its_digits(page, other, monkeypatch):
    """Else who sees 55•••••••••23 could learn the rest, one digit at a time."""
    other(
        "update marts.dim_customer set profile_name = 'Gabi 5521980000023' "
        f"where current_bsuid = '{GABI}'"
    )
    app = page("customer")
    assert len(search(app, "5521980000023")) == 1
    for part in ("552198000002", "8000", "Gabi 55219", "55•••••••••23", "gabi 5"):
        assert search(app, part) == [], part
    app = page("review")
    for part in ("551190000002", "900000028", "90000"):
        app.text_input(key="searched").set_value(part)
        assert questions(healthy(app.run())) == 0, part
    app = page("crm")
    for part in ("90000-0022", "9000"):
        app.text_input(key="searched").set_value(part)
        assert not healthy(app.run()).dataframe, part
    app = page("customer", show_pii=True)
    assert len(search(app, "Gabi 55219")) == 1


def test_numbers_cannot_be_tried_out_by_the_thousand(page, monkeypatch):
    monkeypatch.setattr(data, "MOST_MISSES", 3)
    app = page("customer")
    for last in range(3):
        assert search(app, f"551198888770{last}") == []
        assert not app.warning
    # then not even one that somebody has is told
    assert search(app, "5521980000023") == []
    assert "wait a minute" in app.warning[0].value
    assert len(search(app, "gabi")) == 1


# --- Words ----------------------------------------------------------------------------------------


def test_every_key_has_both_languages_with_the_same_places_to_fill():
    lines = (ROOT / "dashboard" / "words.yml").read_text().splitlines()
    keys = [line.split(":")[0].strip('"') for line in lines if re.match(r'"?\w', line)]
    assert sorted(keys) == sorted(words.catalogue())  # YAML keeps the last of two alike, silently
    for key, texts in words.catalogue().items():
        assert set(texts) == set(words.LANGUAGES), key
        english, indonesian = (sorted(re.findall(r"{\w+}", text)) for text in texts.values())
        assert english == indonesian, key
        assert all(texts.values()), key


def said_keys() -> set[str]:
    """Every key that the pages' code says by name."""
    found = set()
    for path in (ROOT / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                first = node.args[0]
                options = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found |= {one.value for one in options if isinstance(one, ast.Constant)}
    return found


def test_the_pages_say_nothing_that_the_catalogue_lacks():
    assert len(said_keys()) > 100
    assert said_keys() - set(words.catalogue()) == set()


def test_every_kind_of_question_is_explained_with_an_advice(sql):
    for (kind,) in sql("select distinct kind from marts.identity_review"):
        assert {kind, f"{kind}_help", f"{kind}_do"} <= set(words.catalogue())


@pytest.mark.parametrize("name", VIEWS)
def test_every_page_speaks_indonesian(page, key_of, name):
    app = page(name, key_of(GABI), language="id")
    titles = {"review": "Perlu jawaban Anda", "capture": "Minta nomornya", "crm": "Periksa CRM"}
    titles |= {"overview": "Ringkasan", "numbers": "Nomor bisnis", "customer": "Pelanggan"}
    assert [title.value for title in app.title] == [titles[name]]
    if name == "customer":
        assert any("2 Mei 2026" in text.value for text in app.markdown)


# --- Who may see it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"email": "rita@example.com"}, "decider"),
        ({"email": "Rita@Example.com", "email_verified": True}, "decider"),
        ({"email": "rita@example.com", "email_verified": False}, None),
        ({"email": "tom@example.com"}, "viewer"),
        ({"email": "tom@stranger.com"}, None),
        ({"email": "tom@stranger.com", "groups": ["leads", "x"]}, "decider"),
        ({"email": "tom@stranger.com", "groups": "support"}, "viewer"),
        ({}, None),
        ({"groups": ["leads"]}, None),
    ],
)
def test_a_role_is_that_of_the_address_or_of_a_claim(person, expected):
    roles = {
        "viewers": ["*@example.com"],
        "deciders": ["rita@example.com"],
        "claim": "groups",
        "viewer": "support",
        "decider": "leads",
    }
    assert access.role(person, roles) == expected
    assert access.role(person, {}) is None


def test_without_a_log_in_it_shows_nothing_to_other_computers(page):
    page("overview")
    config.set_option("server.address", "0.0.0.0")
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60).run()
    assert "has no log-in" in app.error[0].value
    assert not app.metric


# --- What is published ----------------------------------------------------------------------------


def test_it_says_so_when_nothing_is_published(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PUBLISH_DIR", str(tmp_path))
    for name in VIEWS:
        assert [title.value for title in page(name).title] == ["Nothing is published yet"]


def test_an_empty_warehouse_has_its_pages(page, other):
    other(*tables_without("true"), "delete from marts.crm_contact_audit")
    for name in VIEWS:
        app = page(name, "0" * 32)
        assert app.title and len(app.info) == 1, name


def test_a_warehouse_of_one_customer_has_its_pages(page, key_of, other):
    other(*tables_without(f"current_bsuid is distinct from '{GABI}'"))
    for name in VIEWS:
        app = page(name, key_of(GABI))
        if name == "overview":
            assert any("1 of 1" in text.value for text in app.markdown)
        if name == "customer":
            assert [header.value for header in app.header] == ["Gabi Freire"]


def test_a_new_version_is_read_as_soon_as_it_is_published(page, sql, other):
    other()
    app = page("overview")
    [(before,)] = sql("select count(*) from marts.phone_capture_worklist")
    assert metrics(app)["Customers to ask"] == str(before)
    other("delete from marts.phone_capture_worklist where capture_reason = 'hidden'")
    [(after,)] = sql(
        "select count(*) from marts.phone_capture_worklist where capture_reason <> 'hidden'"
    )
    assert metrics(healthy(app.run()))["Customers to ask"] == str(after)


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
