"""The settings object: defaults, environment, and what it says of wrong values."""

import os
from pathlib import Path

import pytest

from orchestration.settings import REPOSITORY, Settings, SettingsError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_in_the_repository_wherever_one_stands(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.landing_dir == REPOSITORY / "seeds/sample/webhooks"
    assert settings.warehouse_path == REPOSITORY / "data/warehouse.duckdb"
    assert settings.duckdb_threads == os.cpu_count()


def test_relative_paths_are_taken_from_the_current_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDING_DIR", "x/../in")
    monkeypatch.setenv("PUBLISH_DIR", "/tmp/out")
    monkeypatch.setenv("SEEDS_DIR", "")
    settings = Settings(warehouse_path="w.duckdb")
    assert settings.landing_dir == tmp_path / "in"
    assert settings.warehouse_path == tmp_path / "w.duckdb"
    assert settings.publish_dir == Path("/tmp/out")
    assert settings.seeds_dir == REPOSITORY / "seeds"


def test_environment_makes_the_same_settings_elsewhere(tmp_path: Path, monkeypatch) -> None:
    settings = Settings(landing_dir=tmp_path, duckdb_threads=3, force=True)
    environment = settings.environment()
    assert environment["LANDING_DIR"] == str(tmp_path)
    assert environment["FORCE"] == "true"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATE_MAX_MERGED_SHARE", "7"),
        ("GATE_MAX_SPLIT_SHARE", "nan"),
        ("GATE_MAX_CUSTOMER_GROWTH", "0.5"),
        ("DUCKDB_THREADS", "0"),
        ("DUCKDB_THREADS", "two"),
        ("DUCKDB_MEMORY_LIMIT", "much"),
        ("FORCE", "perhaps"),
    ],
)
def test_wrong_value_is_one_sentence_with_the_cure(monkeypatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}={value} is not usable: give .*\\.$"):
        Settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("LANDING_DIRS", "LANDING_DIR"),
        ("WAREHOUSE_PATHS", "WAREHOUSE_PATH"),
        ("GATE_MAX_MERGE_SHARE", "GATE_MAX_MERGED_SHARE"),
        ("DUCKDB_MEMORY", "DUCKDB_MEMORY_LIMIT"),
    ],
)
def test_unknown_setting_names_the_nearest(monkeypatch, name: str, nearest: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"{name} is not a setting.* {nearest}"):
        Settings()


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DBT_TARGET_PATH", "FORCE_COLOR", "SOURCE", "PWD_DIR"):
        monkeypatch.setenv(name, "1")
    Settings()


def test_unknown_argument() -> None:
    with pytest.raises(SettingsError, match="nearest one is LANDING_DIR"):
        Settings(landing_folder="x")
