"""The dashboard as people use it, in headless Chromium."""

from __future__ import annotations

import csv
import shutil

import duckdb
import pytest
from playwright.sync_api import Page, expect

from orchestration.publish import publish
from orchestration.settings import Settings
from orchestration.versions import DATABASE
from tests.browser.conftest import HOSTILE, HOSTILE_NAME, dashboard, free_port
from tests.browser.oidc import CLIENT_ID, CLIENT_SECRET, Provider
from tests.build import ROOT, Build
from tests.conftest import read_csv
from tests.properties import wire

GABI = "BR.2000000000000023"
# What the address of each page is, and its title in English and Indonesian.
PATHS = {
    "": ("Overview", "Ringkasan"),
    "review": ("Needs your answer", "Perlu jawaban Anda"),
    "capture": ("Ask for the number", "Minta nomornya"),
    "customer": ("Customer", "Pelanggan"),
    "numbers": ("Business numbers", "Nomor bisnis"),
    "crm": ("CRM check", "Periksa CRM"),
    "guide": ("For teams", "Untuk tim"),
}
SEARCH = "Name, phone, username, WhatsApp ID or message id"


def drawn(page: Page) -> None:
    """Waits until the page is drawn to the end."""
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.locator('[data-stale="true"]')).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def visit(page: Page, address: str, path: str, language: int = 0) -> None:
    """Opens a page and waits until it is drawn."""
    page.goto(f"{address}/{path}")
    title = PATHS[path.partition("?")[0]][language]
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
    drawn(page)


def metric(page: Page, label: str):
    """The figure under a label."""
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def test_every_page_is_reached_from_the_menu(page, address, questions):
    visit(page, address, "")
    expect(metric(page, "Questions to answer")).to_have_text(str(questions))
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(6)
    menu = ["Overview", "Needs your answer", "Ask for the number", "Customer", "Business numbers"]
    for title in [*menu[1:], "CRM check", "Overview"]:
        page.get_by_test_id("stSidebarNav").get_by_text(title).click()
        expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
    page.get_by_role("link", name="Open the list").first.click()
    expect(page.get_by_role("heading", name="Ask for the number", level=1)).to_be_visible()


def test_a_customer_is_found_while_one_types_and_drawn(page, address, key_of):
    visit(page, address, "customer")
    box = page.get_by_role("textbox", name=SEARCH)
    box.press_sequentially("gab")  # no Enter
    page.get_by_role("button", name="Gabi Freire").click()
    expect(page.get_by_role("heading", name="Gabi Freire")).to_be_visible()
    expect(page.get_by_text("then changed the number")).to_be_visible()
    assert page.url == f"{address}/customer?id={key_of(GABI)}"
    assert "Gabi" not in page.title()
    box.fill("+55 (11) 90000-0028")
    expect(page.get_by_role("button", name="Otávio Neri")).to_be_visible()
    page.get_by_role("button", name="Bruna Maia").click()
    expect(page.get_by_role("heading", name="Bruna Maia")).to_be_visible()
    box.fill("nobody at all")
    expect(page.get_by_text("Nobody is known as")).to_be_visible()


def test_a_graph_is_drawn(page, address, key_of):
    visit(page, address, f"customer?id={key_of('BR.3000000000000026')}")
    graph = page.get_by_test_id("stGraphVizChart")
    expect(graph.locator("g.node")).to_have_count(3)
    expect(graph.locator("g.edge")).to_have_count(2)
    expect(graph.get_by_text("weakest")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart").locator("svg, canvas").first).to_be_visible()


def test_a_name_that_is_an_image_asks_nobody_for_it(page, address, key_of):
    visit(page, address, f"customer?id={key_of(HOSTILE)}")
    expect(page.get_by_role("heading", name=HOSTILE_NAME)).to_be_visible()
    page.get_by_role("textbox", name=SEARCH).press_sequentially("stranger")
    expect(page.get_by_role("button", name=HOSTILE_NAME)).to_be_visible()


def test_the_language_is_switched_and_is_that_of_the_browser_at_first(page, address):
    visit(page, address, "")
    page.get_by_text("Bahasa Indonesia").click()
    expect(page.get_by_role("heading", name="Ringkasan", level=1)).to_be_visible()
    page.get_by_test_id("stSidebarNav").get_by_text("Minta nomornya").click()
    expect(page.get_by_role("heading", name="Minta nomornya", level=1)).to_be_visible()
    page.get_by_text("English").click()
    expect(page.get_by_role("heading", name="Ask for the number", level=1)).to_be_visible()


def answer_as(page: Page, author: str) -> None:
    """Answers the missed rotation with Same person, up to the second click."""
    page.get_by_label("Choose a question").click()
    page.get_by_role("option", name="Perhaps a new ID of the same person").click()
    page.get_by_label("Who decides").first.fill(author)
    page.get_by_label("Who decides").first.press("Enter")
    page.get_by_label("How do you know").first.fill("She says so, ticket 12")
    page.get_by_label("How do you know").first.press("Enter")
    page.get_by_role("button", name="Same person").click()
    expect(page.get_by_text("become one customer")).to_be_visible()


def test_a_question_is_answered_and_the_answer_undone(page, address, seeds, questions):
    file = seeds / "identity_overrides.csv"
    before = file.read_bytes()
    visit(page, address, "review")
    expect(page.get_by_text(f"{questions} open questions")).to_be_visible()
    answer_as(page, "Rita")
    assert file.read_bytes() == before
    page.get_by_role("button", name="Save the answer").click()
    expect(page.get_by_text(f"{questions - 1} open questions")).to_be_visible()
    row = read_csv(file)[-1]
    assert (row["author"], row["decision"]) == ("Rita", "must_link")
    page.get_by_role("button", name="Undo").first.click()
    expect(page.get_by_text(f"{questions} open questions")).to_be_visible()
    assert file.read_bytes() == before


def test_an_answer_works_from_the_next_run(page, tmp_path):
    """Answered in the page; a run and a publish later the two are one and the question is gone."""
    build = Build(tmp_path)
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=tmp_path / "published",
        gate_max_moved_message_share=1.0,
    )
    seeds = tmp_path / "answers"
    shutil.copytree(ROOT / "seeds", seeds, ignore=shutil.ignore_patterns("sample"))
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", build.landing, dirs_exist_ok=True)

    def run() -> None:
        build.run(
            (),
            seeds={path.stem: read_csv(path) for path in seeds.glob("identity_o*.csv")}
            | {
                "business_accounts": read_csv(seeds / "business_accounts.csv"),
                "ignored_identifiers": read_csv(seeds / "ignored_identifiers.csv"),
            },
        )
        publish(settings)

    run()
    with dashboard(settings.publish_dir, seeds) as address:
        visit(page, address, "review")
        answer_as(page, "Rita")
        page.get_by_role("button", name="Save the answer").click()
        expect(page.get_by_text("1 answered, waiting")).to_be_visible()
        run()
        expect(page.get_by_text("in force").first).to_be_visible()
        expect(page.get_by_text("1 answered, waiting")).to_have_count(0)
        expect(page.get_by_text("Perhaps a new ID of the same person")).to_have_count(0)
        page.get_by_test_id("stSidebarNav").get_by_text("Customer").click()
        page.get_by_role("textbox", name=SEARCH).press_sequentially("Guilherme Prado")
        expect(page.get_by_role("button", name="Guilherme Prado")).to_have_count(1)


@pytest.mark.parametrize(
    ("person", "may"),
    [
        ({"email": "rita@example.com", "email_verified": True}, "answer"),
        ({"email": "tom@example.com", "email_verified": True}, "look"),
        ({"email": "eve@stranger.com", "email_verified": True}, "nothing"),
    ],
)
def test_who_logs_in_has_a_role(page, sample, seeds, questions, tmp_path, person, may):
    port = free_port()
    with Provider(free_port()) as provider:
        provider.person = person
        secrets = tmp_path / "secrets.toml"
        secrets.write_text(
            f"""
            [auth]
            redirect_uri = "http://localhost:{port}/oauth2callback"
            cookie_secret = "{"x" * 32}"
            client_id = "{CLIENT_ID}"
            client_secret = "{CLIENT_SECRET}"
            server_metadata_url = "{provider.issuer}/.well-known/openid-configuration"
            [roles]
            viewers = ["*@example.com"]
            deciders = ["rita@example.com"]
            """
        )
        with dashboard(sample, seeds, port, secrets) as address:
            page.goto(f"{address}/review")
            expect(page.get_by_text("please log in first")).to_be_visible()
            expect(page.get_by_text("open questions")).to_have_count(0)
            page.get_by_role("button", name="Log in").click()
            if may == "nothing":
                expect(page.get_by_text("may not see these pages")).to_be_visible()
                expect(page.get_by_test_id("stMetric")).to_have_count(0)
                return
            expect(page.get_by_test_id("stMetric").first).to_be_visible()
            page.get_by_test_id("stSidebarNav").get_by_text("Needs your answer").click()
            expect(page.get_by_text(f"{questions} open questions")).to_be_visible()
            same = page.get_by_role("button", name="Same person")
            if may == "answer":
                expect(same).to_be_enabled()
                expect(page.get_by_label("Who decides").first).to_have_value(person["email"])
            else:
                expect(same).to_be_disabled()
                expect(page.get_by_text("may look but not answer")).to_be_visible()
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_text("please log in first")).to_be_visible()


def downloaded(page: Page, button: str) -> tuple[str, list[dict[str, str]]]:
    """Name and rows of a file that a button downloads; ids without what Excel needs."""
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    with open(started.value.path(), newline="", encoding="utf-8-sig") as file:
        rows = [
            {name: value.removeprefix('="').removesuffix('"') for name, value in row.items()}
            for row in csv.DictReader(file)
        ]
    return started.value.suggested_filename, rows


def test_the_worklist_is_filtered_and_downloaded(page, address, sample):
    visit(page, address, "capture")
    page.get_by_label("Why").click()
    page.get_by_role("option", name="Hidden").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stMultiSelect").get_by_text("Hidden")).to_be_visible()
    drawn(page)
    name, rows = downloaded(page, "Download for Excel")
    assert name == "phone_capture_worklist.csv"
    with duckdb.connect(str(sample / DATABASE), read_only=True) as published:
        keys = published.execute(
            "select customer_key from marts.phone_capture_worklist where capture_reason = 'hidden'"
        ).fetchall()
    assert sorted(row["customer_key"] for row in rows) == sorted(key for (key,) in keys)


@pytest.mark.parametrize("button", ["Download for Excel", "Download for import"])
def test_the_audit_is_downloaded_masked(page, address, button):
    visit(page, address, "crm")
    _, rows = downloaded(page, button)
    by_id = {row["crm_contact_id"]: row for row in rows}
    assert len(by_id) == len(read_csv(ROOT / "seeds" / "crm_contacts.csv"))
    assert by_id["C-1007"]["crm_phone"] == "+55 •• •••••-••22"
    assert by_id["C-1007"]["verdict"] == "stale_number"
    assert len(by_id["C-1007"]["customer_key"]) == 32


def test_what_is_published_while_the_page_is_open_appears(page, tmp_path):
    """From nothing to a first version to a second one, published for real."""
    build = Build(tmp_path)
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=tmp_path / "published",
        gate_max_moved_message_share=1.0,
    )
    with dashboard(settings.publish_dir, ROOT / "seeds") as address:
        page.goto(address)
        expect(page.get_by_text("Nothing is published yet")).to_be_visible()
        for count, name in enumerate(["Ana", "Bob"], start=1):
            build.run(
                [
                    wire.message(
                        f"2026-05-0{count}T10:00:00Z",
                        bsuid=f"BR.{count}",
                        phone=f"551190000000{count}",
                        name=name,
                    )
                ]
            )
            publish(settings)
            expect(page.get_by_text(f"{count} of {count} customers")).to_be_visible()
        visit(page, address, "customer")
        page.get_by_role("textbox", name=SEARCH).press_sequentially("bob")
        expect(page.get_by_role("button", name="Bob")).to_be_visible()


@pytest.mark.parametrize(
    "page",
    [(width, language) for width in (390, 1280) for language in ("en-US", "id-ID")],
    indirect=True,
    ids=str,
)
@pytest.mark.parametrize("path", [*PATHS, f"customer?id={GABI}"])
def test_nothing_is_wider_than_the_screen(page, address, key_of, path):
    language = int(
        "Indonesia"
        in page.evaluate(
            "new Intl.DisplayNames(['en'], {type: 'region'})"
            ".of(new Intl.Locale(navigator.language).region)"
        )
    )
    visit(page, address, path.replace(GABI, key_of(GABI)), language)
    width = page.viewport_size["width"]
    wide = page.evaluate(
        """
        width => [
            ...document.querySelectorAll("[data-testid=stElementContainer], [data-testid=stMain]")
        ].filter(box => box.getBoundingClientRect().right > width + 1 || box.scrollWidth > width)
        .map(box => box.outerHTML.slice(0, 200))
        """,
        width,
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """
        () => [...document.querySelectorAll(
            "[data-testid=stMetricLabel] *, [data-testid=stMetricValue] *, button p"
        )].filter(box => box.offsetWidth && box.scrollWidth > box.offsetWidth + 1)
        .map(box => box.textContent)
        """
    )
    assert cut == []


@pytest.mark.parametrize("path", ["", "customer", "review", "capture"])
def test_screenshots(page, address, key_of, path, request):
    """The pictures of README and guides, when `make screenshots` asks for them."""
    folder = request.config.getoption("--screenshots")
    visit(page, address, f"customer?id={key_of(GABI)}" if path == "customer" else path)
    if path == "review":
        page.get_by_label("Choose a question").click()
        page.get_by_role("option", name="Perhaps a new ID of the same person").click()
    page.wait_for_timeout(2000)
    height = page.evaluate(
        "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
    )
    page.set_viewport_size({"width": 1280, "height": min(height, 1600)})
    page.mouse.move(0, 0)
    page.wait_for_timeout(2000)
    name = path or "overview"
    page.screenshot(path=folder / f"{name}.png")
