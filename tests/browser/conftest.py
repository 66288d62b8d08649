"""A real server and a real browser: `make test-browser`. Nothing here may leave this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from orchestration.versions import DATABASE, published_path
from tests.build import ROOT

CHROMIUM = os.environ.get("CHROMIUM", "chromium")
# An image in Markdown, as a stranger may put into a profile name.
HOSTILE_NAME = "![x](http://stranger.example/x.png)"
HOSTILE = "BR.1000000000000008"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="write the README's pictures to this folder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--screenshots") is None:
        items[:] = [item for item in items if item.originalname != "test_screenshots"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def dashboard(
    publish_dir: Path, seeds_dir: Path, port: int | None = None, secrets: Path | None = None
) -> Iterator[str]:
    """Serves the dashboard over two folders, with a log-in if there are secrets; gives its address."""
    port = port or free_port()
    environment = {
        **os.environ,
        "PUBLISH_DIR": str(publish_dir),
        "SEEDS_DIR": str(seeds_dir),
        "DO_NOT_TRACK": "1",
    }
    environment.pop("SHOW_PII", None)
    command = ["-m", "streamlit", "run", "dashboard/app.py", f"--server.port={port}"]
    if secrets:
        command.append(f"--secrets.files={secrets}")
    server = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    address = f"http://localhost:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/_stcore/health")
                break
            assert server.poll() is None, "streamlit did not start"
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def sample(published_sample, tmp_path_factory) -> Path:
    """The published sample, with one customer of a hostile name, in a folder of its own."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copy(published_path(published_sample), folder / DATABASE)
    with duckdb.connect(str(folder / DATABASE)) as published:
        published.execute(
            "update marts.dim_customer set profile_name = ? where current_bsuid = ?",
            [HOSTILE_NAME, HOSTILE],
        )
    return folder


@pytest.fixture(scope="session")
def seeds(tmp_path_factory) -> Path:
    """A SEEDS_DIR for the session; a test that writes into it takes it back."""
    folder = tmp_path_factory.mktemp("seeds")
    for path in (ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def address(sample, seeds) -> Iterator[str]:
    with dashboard(sample, seeds) as served:
        yield served


@pytest.fixture(scope="session")
def questions(sample) -> int:
    """How many questions are open."""
    with duckdb.connect(str(sample / DATABASE), read_only=True) as published:
        [(count,)] = published.execute("select count(*) from marts.identity_review").fetchall()
    return count


@pytest.fixture(scope="session")
def key_of(sample):
    """The customer_key of a BSUID."""

    def find(bsuid: str) -> str:
        with duckdb.connect(str(sample / DATABASE), read_only=True) as published:
            [(key,)] = published.execute(
                "select customer_key from marts.dim_customer_identifier where identifier_value = ?",
                [bsuid],
            ).fetchall()
        return key

    return find


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which(CHROMIUM),
            # root, as in many a container, has no sandbox
            chromium_sandbox=os.geteuid() != 0,
            args=[
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
            ],
        )
        yield launched
        launched.close()


@pytest.fixture(params=[(1280, "en-US")], ids=str)
def page(request, browser) -> Iterator[Page]:
    """A page of that width and language. The test fails if it asks any host but this one."""
    width, language = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        locale=language,
        permissions=["clipboard-read", "clipboard-write"],
    )
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    asked: list[str] = []
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.on("websocket", lambda socket: asked.append(socket.url))
    yield opened
    context.close()
    assert asked
    outside = [url for url in asked if urlsplit(url).hostname not in ("localhost", None)]
    assert outside == []
