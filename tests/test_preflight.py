"""What the preflight says of variables, and the locks that keep runs apart."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from orchestration import preflight
from orchestration.lock import holder, locked
from orchestration.settings import Settings


@pytest.fixture
def project(tmp_path):
    """A dbt project whose models read two variables; returns a function that sets its vars."""
    for folder in ("models", "macros", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "models" / "a.sql").write_text(
        "select {{ var('phone_window_days') }}, {{ var('as_of') }}, {{ var('quarantine_max_share') }}"
    )

    def set_vars(**variables):
        right = {"phone_window_days": 30, "as_of": None, "quarantine_max_share": 0.01}
        (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump({"vars": right | variables}))
        return list(preflight.variables(tmp_path))

    return set_vars


def test_right_variables_pass(project):
    assert project() == []
    assert project(as_of="2026-05-01 12:00:00") == []
    assert list(preflight.variables(preflight.DBT_PROJECT)) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"phone_window_days": "30"}, "is '30': write a whole number"),
        ({"phone_window_days": -1}, "is -1: write a whole number"),
        ({"phone_window_days": True}, "is True: write a whole number"),
        ({"as_of": "yesterday"}, "is 'yesterday': write a time"),
        ({"quarantine_max_share": 2}, "is 2: write a share"),
        ({"phone_windows_days": 3}, "no model reads the variable phone_windows_days"),
    ],
)
def test_a_wrong_variable_is_told_with_the_cure(project, variables, sentence):
    (problem,) = project(**variables)
    assert sentence in problem


def test_a_lock_is_free_when_its_process_is_killed(tmp_path):
    settings = Settings(warehouse_path=tmp_path / "w.duckdb", publish_dir=tmp_path / "published")
    assert holder(settings) is None
    code = (
        "from pathlib import Path; import sys, time; from orchestration.lock import locked;"
        "from orchestration.settings import Settings\n"
        "folder = Path(sys.argv[1])\n"
        "with locked(Settings(warehouse_path=folder / 'w.duckdb', publish_dir=folder / 'published')):\n"
        "    print('held', flush=True); time.sleep(100)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert f"process {process.pid} " in holder(settings)
    process.kill()
    process.communicate()
    said = []
    with locked(settings, said.append), locked(settings, said.append):
        pass
    assert said == []
    assert holder(settings) is None


def test_two_warehouses_share_no_published_folder_at_once(tmp_path):
    one, two = (
        Settings(warehouse_path=tmp_path / name, publish_dir=tmp_path / "published")
        for name in ("a.duckdb", "b.duckdb")
    )
    with locked(one):
        assert f"process {os.getpid()} " in holder(two)


@pytest.mark.parametrize("name", ["it's", 'a"b', "system", "temp", "memory"])
def test_a_file_name_that_the_engine_does_not_take_is_told(name, tmp_path):
    settings = Settings(
        warehouse_path=tmp_path / f"{name}.duckdb", publish_dir=tmp_path / "published"
    )
    (problem,) = preflight.files(settings)
    assert "is none for one: choose another" in problem


@pytest.mark.parametrize("name", ["warehouse", "a b", "é-1", "1select", "a.b"])
def test_other_file_names_pass(name, tmp_path):
    settings = Settings(
        warehouse_path=tmp_path / f"{name}.duckdb", publish_dir=tmp_path / "published"
    )
    assert list(preflight.files(settings)) == []


def test_the_warehouse_is_no_file_that_is_published(tmp_path):
    version = tmp_path / "published" / "versions" / "1"
    version.mkdir(parents=True)
    (tmp_path / "published" / "current").symlink_to(version)
    (tmp_path / "published" / "customers.duckdb").symlink_to(version / "customers.duckdb")
    for path in ("customers.duckdb", "versions/1/mine.duckdb", "current/customers.duckdb"):
        settings = Settings(
            warehouse_path=tmp_path / "published" / path, publish_dir=tmp_path / "published"
        )
        (problem,) = preflight.files(settings)
        assert "is a file that is published" in problem
