"""dbt's own tests: unit tests of every rule, and the contracts and invariants on the sample."""

from __future__ import annotations

from tests.build import Build


def test_unit_and_data_tests_pass(sample_build: Build):
    sample_build.dbt_test()
