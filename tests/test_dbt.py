"""dbt's own tests: unit tests of every rule, and the contracts and invariants on the sample."""

from __future__ import annotations

import json
from types import SimpleNamespace

from orchestration.project import TARGET, document, failure, parse
from tests.build import Build


def test_unit_and_data_tests_pass(sample_build: Build):
    sample_build.dbt_test()


def test_the_documentation_opens_on_the_page_of_this_project(sample_build: Build):
    document(sample_build.settings)
    page = (TARGET / "docs" / "static_index.html").read_text()
    overview = parse(sample_build.settings).docs["doc.whatsapp_customer_identity.__overview__"]
    assert json.dumps(overview.block_contents) in page
    assert '"customer_key":{"type":"VARCHAR"' in page.replace(" ", "")  # with the warehouse's types


def test_a_failed_test_names_some_of_its_rows(sample_build: Build):
    test = SimpleNamespace(
        name="assert_nothing", resource_type="test", compiled_code="select 'a1' as customer_key"
    )
    failed = SimpleNamespace(status="fail", message="Got 1 result", node=test)
    told = failure(SimpleNamespace(exception=None, result=[failed]), sample_build.settings)
    assert told == "assert_nothing: Got 1 result, such as [{'customer_key': 'a1'}]"


def test_what_failed_is_told_without_anybody_in_it(sample_build: Build):
    """It is logged, and kept by Dagster."""
    row = (
        "select 'a1' as customer_key, 7 as n, 'Ana' as profile_name, 'BR.1000000000000028' as bsuid"
    )
    test = SimpleNamespace(name="assert_nothing", resource_type="test", compiled_code=row)
    message = "Conversion Error: '+5511900000028' of BR.1000000000000028"
    failed = SimpleNamespace(status="fail", message=message, node=test)
    told = failure(SimpleNamespace(exception=None, result=[failed]), sample_build.settings)
    assert told == (
        "assert_nothing: Conversion Error: '•••' of •••, such as [{'customer_key': 'a1', 'n': '7'}]"
    )
