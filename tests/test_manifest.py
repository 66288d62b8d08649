"""What every model must have, so that a reader and a BI tool can rely on it."""

from __future__ import annotations

import re

import pytest
from dbt.contracts.graph.manifest import Manifest

from tests.build import ROOT, project


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return project()[1]


def models(manifest: Manifest, layer: str) -> list:
    found = [
        node
        for node in manifest.nodes.values()
        if node.resource_type == "model" and node.fqn[1] == layer
    ]
    assert found
    return found


@pytest.mark.parametrize("layer", ["staging", "intermediate", "marts"])
def test_every_model_says_what_a_row_is(manifest, layer):
    assert not [node.name for node in models(manifest, layer) if "Grain: " not in node.description]


@pytest.mark.parametrize("layer", ["staging", "intermediate"])
def test_only_marts_are_for_others(manifest, layer):
    assert {node.access.value for node in models(manifest, layer)} == {"private"}


def test_every_mart_keeps_a_contract_with_every_column_described(manifest):
    marts = models(manifest, "marts")
    assert not [node.name for node in marts if not node.contract.enforced]
    assert {node.access.value for node in marts} == {"public"}
    bare = [
        f"{node.name}.{column.name}"
        for node in marts
        for column in node.columns.values()
        if not column.description or not column.data_type
    ]
    assert not bare


def test_every_mart_has_a_unit_test_and_data_tests(manifest):
    examples = {test.depends_on.nodes[0] for test in manifest.unit_tests.values()}
    data_tests = {
        name
        for node in manifest.nodes.values()
        if node.resource_type == "test"
        for name in node.depends_on.nodes
    }
    marts = {node.unique_id for node in models(manifest, "marts")}
    assert marts - examples == set()
    assert marts - data_tests == set()


def test_every_seed_and_source_column_is_described(manifest):
    seeds = [node for node in manifest.nodes.values() if node.resource_type == "seed"]
    assert len(seeds) == 4
    for node in [*seeds, *manifest.sources.values()]:
        assert node.description, node.name
        assert node.columns, node.name
        assert not [name for name, column in node.columns.items() if not column.description]


def read_by(path: str) -> set[str]:
    """Tables of the marts that a file's SQL names."""
    return set(re.findall(r"(?:from|join) marts\.(\w+)", (ROOT / path).read_text()))


def test_exposures_name_the_marts_that_people_read(manifest):
    exposed = {
        exposure.name: {manifest.nodes[name].name for name in exposure.depends_on.nodes}
        for exposure in manifest.exposures.values()
    }
    # these two are written when publishing, by nobody's model
    written = {"publication", "identity_change_log"}
    pages = {name for name in exposed if name.endswith("_page")}
    assert (
        set().union(*(exposed[name] for name in pages))
        == (read_by("dashboard/queries.py") | read_by("orchestration/explain.py")) - written
    )
    assert exposed["explain"] == read_by("orchestration/explain.py") - written
    measured = {
        manifest.nodes[model.depends_on.nodes[0]].name
        for model in manifest.semantic_models.values()
    }
    assert exposed["metrics"] == measured | {"dim_date"}
