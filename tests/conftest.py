"""Warehouses that several test files look at; nobody writes to them."""

from __future__ import annotations

import csv
import shutil

import pytest

from orchestration.publish import publish
from orchestration.settings import Settings
from tests.build import ROOT, Build


def read_csv(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def sample_build(tmp_path_factory) -> Build:
    """The sample, resolved with the reference seeds of the repository."""
    build = Build(tmp_path_factory.mktemp("sample"))
    shutil.copytree(ROOT / "seeds" / "sample" / "webhooks", build.landing, dirs_exist_ok=True)
    build.run((), seeds={path.stem: read_csv(path) for path in (ROOT / "seeds").glob("*.csv")})
    return build


@pytest.fixture(scope="session")
def published_sample(sample_build) -> Settings:
    """The settings under which the sample is published."""
    settings = Settings(
        landing_dir=sample_build.landing,
        warehouse_path=sample_build.warehouse,
        publish_dir=sample_build.folder / "published",
    )
    publish(settings)
    return settings
