"""The dashboard as people use it, in headless Chromium."""

from __future__ import annotations

import csv

import duckdb
import pytest
from playwright.sync_api import Page, expect

from orchestration.publish import DATABASE, publish
from orchestration.settings import Settings
from tests.browser.conftest import HOSTILE, HOSTILE_NAME, dashboard
from tests.build import ROOT, Build
from tests.conftest import read_csv
from tests.properties import wire

PATHS = {
    "": "Overview",
    "numbers": "Business numbers",
    "customer?id=BR.2000000000000023": "Customer",
    "review": "Review queue",
    "capture": "Phone capture",
    "crm": "CRM audit",
}
CUSTOMER = "Phone in any format, BSUID, username, message id or customer key"


def visit(page: Page, address: str, path: str) -> None:
    """Opens a page and waits until it is drawn to the end."""
    page.goto(f"{address}/{path}")
    expect(page.get_by_role("heading", name=PATHS[path], exact=True, level=1)).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.locator('[data-stale="true"]')).to_have_count(0)


def metric(page: Page, label: str):
    """The figure under a label."""
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def test_every_page_is_reached_from_the_menu(page, address):
    visit(page, address, "")
    expect(metric(page, "Customers")).to_have_text("85")
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(6)
    for title in list(PATHS.values())[1:]:
        page.get_by_test_id("stSidebarNav").get_by_text(title).click()
        expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_customer_is_searched_and_drawn(page, address):
    visit(page, address, "customer?id=BR.2000000000000023")
    expect(page.get_by_role("heading", name="Gabi Freire")).to_be_visible()
    box = page.get_by_label(CUSTOMER)
    box.fill("+55 (11) 90000-0028")
    box.press("Enter")
    expect(page.get_by_role("heading", name="Otávio Neri")).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("combobox").click()
    page.get_by_role("option", name="Bruna Maia").click()
    expect(page.get_by_role("heading", name="Bruna Maia")).to_be_visible()
    box.fill("BR.3000000000000026")
    box.press("Enter")
    graph = page.get_by_test_id("stGraphVizChart")
    expect(graph.locator("g.node")).to_have_count(3)
    expect(graph.locator("g.edge")).to_have_count(2)
    expect(graph.get_by_text("weakest")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart").locator("svg, canvas").first).to_be_visible()
    box.fill("nobody at all")
    box.press("Enter")
    expect(page.get_by_text("Nobody is known as")).to_be_visible()


def test_a_name_that_is_an_image_asks_nobody_for_it(page, address):
    visit(page, address, "")
    page.goto(f"{address}/customer?id={HOSTILE}")
    expect(page.get_by_role("heading", name=HOSTILE_NAME)).to_be_visible()


def test_the_review_queue_is_filtered_and_its_row_copied(page, address, sample):
    visit(page, address, "review")
    expect(page.get_by_text("15 open questions")).to_be_visible()
    page.get_by_label("Kind").click()
    page.get_by_role("option", name="Possible missed rotation (1)").click()
    expect(page.get_by_text("1 open questions")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Who decides").fill("Rita")
    page.get_by_label("Who decides").press("Enter")
    expect(page.get_by_test_id("stCode")).to_contain_text(",must_link,Rita,")
    page.get_by_test_id("stCode").hover()
    page.get_by_test_id("stCode").get_by_role("button").click()
    copied = next(csv.reader([page.evaluate("navigator.clipboard.readText()")]))
    with duckdb.connect(str(sample / DATABASE), read_only=True) as published:
        [(row,)] = published.execute(
            "select override_row from marts.identity_review where kind = 'possible_missed_rotation'"
        ).fetchall()
    assert copied[:8] == row.split(",")[:8]
    assert copied[8] == "Rita"
    page.get_by_text("See this customer").first.click()
    expect(page.get_by_role("heading", name="Guilherme Prado")).to_be_visible()


def test_the_worklist_is_filtered_and_downloaded(page, address, sample):
    visit(page, address, "capture")
    page.get_by_label("Reason").click()
    page.get_by_role("option", name="Hidden").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stMultiSelect").get_by_text("Hidden")).to_be_visible()
    expect(page.locator('[data-stale="true"]')).to_have_count(0)
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the list").click()
    assert started.value.suggested_filename == "phone_capture_worklist.csv"
    with open(started.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    with duckdb.connect(str(sample / DATABASE), read_only=True) as published:
        keys = published.execute(
            "select customer_key from marts.phone_capture_worklist "
            "where capture_reason = 'hidden' order by priority, portfolio_id"
        ).fetchall()
    assert [row["customer_key"] for row in rows] == [key for (key,) in keys]


def test_the_audit_is_downloaded_masked(page, address):
    visit(page, address, "crm")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the list").click()
    with open(started.value.path(), newline="") as file:
        rows = {row["crm_contact_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(read_csv(ROOT / "seeds" / "crm_contacts.csv"))
    assert rows["C-1007"]["crm_phone"] == "+55 •• •••••-••22"
    assert rows["C-1007"]["verdict"] == "stale_number"
    assert len(rows["C-1007"]["customer_key"]) == 32


def test_what_is_published_while_the_page_is_open_appears(page, tmp_path):
    """From nothing to a first version to a second one, published for real."""
    build = Build(tmp_path)
    settings = Settings(
        landing_dir=build.landing,
        warehouse_path=build.warehouse,
        publish_dir=tmp_path / "published",
        gate_max_moved_message_share=1.0,
    )
    with dashboard(settings.publish_dir) as address:
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
            expect(metric(page, "Customers")).to_have_text(str(count))
        page.goto(f"{address}/customer?id=BR.2")
        expect(page.get_by_role("heading", name="Bob")).to_be_visible()


@pytest.mark.parametrize("page", [390, 1280], indirect=True)
@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_wider_than_the_screen(page, address, path):
    visit(page, address, path)
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


@pytest.mark.parametrize("path", ["", "customer?id=BR.2000000000000023", "review"])
def test_screenshots(page, address, path, request):
    """The README's pictures, when `make screenshots` asks for them."""
    folder = request.config.getoption("--screenshots")
    visit(page, address, path)
    if path == "review":
        page.get_by_label("Question").click()
        page.get_by_role("option", name="Possible missed rotation").click()
    page.wait_for_timeout(2000)
    height = page.evaluate(
        "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
    )
    page.set_viewport_size({"width": 1280, "height": min(height, 1600)})
    page.mouse.move(0, 0)
    page.wait_for_timeout(2000)
    name = PATHS[path].lower().replace(" ", "-")
    page.screenshot(path=folder / f"{name}.png")
