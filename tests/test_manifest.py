"""What every model must have and may read, so that a reader, a BI tool and a run that adds can rely on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import pytest
from dbt.artifacts.resources import ModelConfig
from dbt.contracts.graph.manifest import Manifest

from tests.build import ROOT, Build, project

# Which folder may read which: one of a lower number, or of its own. Within identity only evidence stands below the rest,
# because stays and links are found out from one another.
LAYERS = {
    "staging": 0,
    "identity/evidence": 1,
    "identity/stays": 2,
    "identity/links": 2,
    "identity/customers": 2,
    "customer": 3,
    "message": 3,
    "crm": 3,
    "marts": 4,
}
PREFIXES = {
    "staging": r"stg_whatsapp__",
    "identity": r"int_(identity|phone)__",
    "customer": r"int_(customer|identity)__",
    "message": r"int_message__",
    "crm": r"int_crm__",
    "marts": r"dim_|fct_|bridge_",
}
# what is neither a dimension nor a fact is named by what it is for
PLAIN_MARTS = {
    "identity_link",
    "identity_review",
    "customer_key_redirect",
    "bsp_readiness_daily",
    "phone_capture_worklist",
    "crm_contact_audit",
    "unrecognised_field",
}
# phones typed into a CRM are read with those on the wire: that takes a CRM's contact, and nothing that was decided
UPWARDS = {("int_phone__number", "int_crm__contact")}
# deliveries of events, or sightings without the part of the event that tells one from another
WITHOUT_KEY = {
    "int_identity__observation",
    "int_identity__change_copy",
    "int_identity__pairing",
    "int_identity__phone_only",
    "int_identity__phone_assignment",
    "int_identity__attested_phone",
    "int_identity__customer_sighting",
    # whoever writes with and without a phone in one second turns more than once in it
    "int_customer__phone_visibility",
}
# A key of another island's customer is what it looks for.
OTHER_ISLANDS = {("int_customer__quarantine", "int_identity__resolved_node")}


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return project()[1]


def models(manifest: Manifest, layer: str | None = None) -> list:
    """The models, or those whose folder is `layer` or lies in it."""
    found = [
        node
        for node in manifest.nodes.values()
        if node.resource_type == "model" and layer in (None, node.fqn[1])
    ]
    assert found
    return found


def folder(node) -> str:
    return "/".join(node.original_file_path.split("/")[1:-1])


def read_models(manifest: Manifest, node) -> list:
    """The models that a model reads."""
    read = [manifest.nodes[name] for name in node.depends_on.nodes if name in manifest.nodes]
    return [other for other in read if other.resource_type == "model"]


def code(text: str) -> str:
    """SQL without its comments."""
    return re.sub(r"\{#.*?#\}|--[^\n]*", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("layer", PREFIXES)
def test_every_model_says_what_a_row_is(manifest, layer):
    assert not [node.name for node in models(manifest, layer) if "Grain: " not in node.description]


@pytest.mark.parametrize("layer", PREFIXES)
def test_a_models_name_tells_its_layer(manifest, layer):
    named = re.compile(PREFIXES[layer])
    strange = {node.name for node in models(manifest, layer) if not named.match(node.name)}
    assert strange == (PLAIN_MARTS if layer == "marts" else set())


def test_models_read_what_lies_below_them(manifest):
    assert {folder(node) for node in models(manifest)} == set(LAYERS)
    upwards = {
        (node.name, read.name)
        for node in models(manifest)
        for read in read_models(manifest, node)
        if LAYERS[folder(read)] > LAYERS[folder(node)]
    }
    assert upwards == UPWARDS


def test_only_marts_are_for_others(manifest):
    for layer in PREFIXES:
        access = "public" if layer == "marts" else "private"
        assert {node.access.value for node in models(manifest, layer)} == {access}, layer


def test_no_relation_is_named_but_through_dbt(manifest):
    """What stands after `from` or `join` is a CTE of the file, a ref, a source or `this`."""
    cte = re.compile(r"(\w+)\s+(?:\([\w, ]+\)\s+)?as\s+(?:not\s+)?(?:materialized\s+)?\(")
    named = {}
    for node in manifest.nodes.values():
        if node.language != "sql" or getattr(node, "test_metadata", None):
            continue
        text = re.sub("'[^']*'", "", code(node.raw_code))
        ctes = set(cte.findall(text))
        read = re.findall(r"(?<!distinct )\b(?:from|join)\s+([a-z_][\w.]*)\b(?!\s*\()", text)
        if strange := set(read) - ctes:
            named[node.name] = strange
    assert named == {}


def test_every_config_key_is_one_of_dbts(manifest):
    known = {field.name for field in fields(ModelConfig)}
    given = {
        (node.name, key)
        for node in models(manifest)
        for key in node.unrendered_config
        if key.replace("-", "_") not in known
    }
    assert given == set()


def test_every_mart_keeps_a_contract_with_every_column_described(manifest):
    marts = models(manifest, "marts")
    assert not [node.name for node in marts if not node.contract.enforced]
    bare = [
        f"{node.name}.{column.name}"
        for node in marts
        for column in node.columns.values()
        if not column.description or not column.data_type
    ]
    assert not bare


def test_every_column_below_the_marts_is_described(manifest, sample_build: Build):
    built = {
        (table, column)
        for table, column in sample_build.query(
            "select table_name, column_name from duckdb_columns() where schema_name = 'intermediate'"
        )
    }
    described = {
        (node.name, column.name)
        for layer in ("identity", "customer", "message", "crm")
        for node in models(manifest, layer)
        for column in node.columns.values()
        if column.description
    }
    assert described == built


def test_every_model_below_the_marts_has_its_key_tested(manifest):
    keyed = {
        test.attached_node
        for test in manifest.nodes.values()
        if test.resource_type == "test"
        and getattr(test, "test_metadata", None)
        and test.test_metadata.name in ("unique", "unique_combination")
    }
    without = {
        node.name
        for layer in ("identity", "customer", "message", "crm")
        for node in models(manifest, layer)
        if node.unique_id not in keyed
    }
    assert without == WITHOUT_KEY


def test_every_mart_and_what_a_customer_shows_has_a_unit_test(manifest):
    examples = {test.depends_on.nodes[0] for test in manifest.unit_tests.values()}
    for layer in ("customer", "marts"):
        assert {node.unique_id for node in models(manifest, layer)} - examples == set()


def test_every_mart_has_data_tests(manifest):
    data_tests = {
        name
        for node in manifest.nodes.values()
        if node.resource_type == "test"
        for name in node.depends_on.nodes
    }
    marts = {node.unique_id for node in models(manifest, "marts")}
    assert marts - data_tests == set()


def test_the_docs_open_on_a_page_that_leads_to_every_mart_and_exposure(manifest):
    page = manifest.docs["doc.whatsapp_customer_identity.__overview__"].block_contents
    linked = set(re.findall(r"#!/(?:model|exposure)/([a-z0-9_.]+)\)", page))
    marts = {node.unique_id for node in models(manifest, "marts")}
    assert linked == marts | set(manifest.exposures)
    for path in re.findall(r"`(docs/[a-z-]+\.md)`", page):
        assert (ROOT / path).exists(), path


def test_unit_tests_stand_beside_what_they_test(manifest):
    astray = {
        test.name: test.original_file_path
        for test in manifest.unit_tests.values()
        if not test.original_file_path.startswith(
            f"models/{folder(manifest.nodes[test.depends_on.nodes[0]])}/"
        )
    }
    assert astray == {}


# What a run that adds works out: macros/islands.sql.


def is_by_island(node) -> bool:
    """It is kept from run to run, and gives up the rows of touched islands."""
    return any("forget_touched_islands" in hook.sql for hook in node.config.pre_hook)


def is_kept(node) -> bool:
    """Whoever reads it sees every island."""
    return node.config.materialized == "incremental"


def imports(node) -> Iterator[tuple[str, bool]]:
    """Each model that a model's CTEs import, and whether with of_this_run() only the islands of this run."""
    for cte in re.split(r"\n\),?\n", code(node.raw_code)):
        for name in re.findall(r"ref\('(\w+)'\)", cte):
            yield name, "of_this_run(" in cte


@pytest.fixture(scope="module")
def of_this_run(manifest) -> set[str]:
    """Models that hold nothing but the islands of this run: plain tables and views that read such a model, or a kept
    one through of_this_run()."""
    by_name = {node.name: node for node in models(manifest)}

    @cache
    def holds_this_run(name: str) -> bool:
        node = by_name.get(name)
        if node is None or is_kept(node):
            return False
        return any(limited or holds_this_run(read) for read, limited in imports(node))

    return {name for name in by_name if holds_this_run(name)}


def test_what_is_of_this_run_begins_with_changes_and_sightings(manifest, of_this_run):
    roots = {
        node.name
        for node in models(manifest)
        if node.name in of_this_run
        and not {read.name for read in read_models(manifest, node)} & of_this_run
    }
    assert {"int_identity__change"} <= roots
    assert "int_identity__sighting" in of_this_run
    assert not {node.name for node in models(manifest, "staging")} & of_this_run


def test_a_mart_that_shows_everything_reads_nothing_of_this_run(manifest, of_this_run):
    """Where a run adds, a plain table of the islands of this run would show these alone."""
    assert not {node.name for node in models(manifest, "marts")} & of_this_run


def test_what_is_kept_by_landing_reads_nothing_of_this_run(manifest, of_this_run):
    mixed = {
        (node.name, read)
        for node in models(manifest)
        if is_kept(node) and not is_by_island(node)
        for read, _ in imports(node)
        if read in of_this_run
    }
    assert mixed == set()


def test_what_is_kept_by_island_works_out_the_islands_of_this_run(manifest, of_this_run):
    kept = [node for node in models(manifest) if is_by_island(node)]
    assert len(kept) > 10
    everything = {
        node.name
        for node in kept
        if not any(limited or read in of_this_run for read, limited in imports(node))
    }
    assert everything == set()


def test_islands_are_not_mixed(manifest, of_this_run):
    """Whoever works out the islands of this run reads these alone of whatever is kept by island: a row of another island
    would be lost with the next run, or be there twice."""
    by_name = {node.name: node for node in models(manifest)}
    set_aside = "int_customer__quarantine"
    mixed = {
        (node.name, read)
        for node in models(manifest)
        if node.name in of_this_run or is_by_island(node)
        for read, limited in imports(node)
        if (is_by_island(by_name[read]) if read in by_name else False)
        # joined by island
        and read != set_aside
        and not limited
    }
    assert mixed == OTHER_ISLANDS


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
