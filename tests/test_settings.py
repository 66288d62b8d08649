"""The settings object: defaults, environment, and what it says of wrong values."""

import os
from pathlib import Path

import pytest

from orchestration.cli import is_on
from orchestration.settings import REPOSITORY, Settings, SettingsError, UserError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_in_the_repository_wherever_one_stands(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.landing_dir == REPOSITORY / "seeds/sample/webhooks"
    assert settings.warehouse_path == REPOSITORY / "data/sample/warehouse.duckdb"
    assert settings.publish_dir == REPOSITORY / "data/sample/published"
    assert settings.duckdb_threads == os.cpu_count()


def test_the_sample_and_your_own_data_have_places_of_their_own(tmp_path) -> None:
    assert Settings(landing_dir=tmp_path).warehouse_path == REPOSITORY / "data/warehouse.duckdb"
    assert Settings(landing_dir=tmp_path).publish_dir == REPOSITORY / "data/published"


def test_readers_prefer_what_is_yours_and_say_so(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("orchestration.settings.DATA", tmp_path)
    own, sample = tmp_path / "published", tmp_path / "sample" / "published"
    for folder in (sample, own):
        assert Settings.of_readers().publish_dir == sample
        folder.mkdir(parents=True)
        (folder / "customers.duckdb").touch()
    assert Settings.of_readers().publish_dir == own
    assert str(sample) in capsys.readouterr().err
    monkeypatch.setenv("PUBLISH_DIR", str(tmp_path / "else"))
    assert Settings.of_readers().publish_dir == tmp_path / "else"


def test_all_wrong_settings_are_told_at_once(monkeypatch) -> None:
    monkeypatch.setenv("GATE_MAX_MERGED_SHARE", "7")
    monkeypatch.setenv("DUCKDB_THREADS", "0")
    with pytest.raises(SettingsError) as refused:
        Settings()
    assert len(str(refused.value).splitlines()) == 2


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
        ("DUCKDB_MEMORY_LIMIT", "1MB"),
        ("FILE_UMASK", "777"),
        ("BODY_PATH", "a..b"),
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
        ("LANDING_FOLDER", "LANDING_DIR"),
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


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("1", True), ("yes", True), ("True", True), ("No", False), ("FALSE", False), ("", False)],
)
def test_yes_and_no_are_read_however_they_are_written(monkeypatch, word, wanted) -> None:
    monkeypatch.setenv("YES", word)
    assert is_on("YES") is wanted


def test_a_word_that_is_neither_erases_nothing(monkeypatch) -> None:
    monkeypatch.setenv("YES", "banana")
    with pytest.raises(UserError, match="YES=banana is neither yes nor no"):
        is_on("YES")


def test_unknown_argument() -> None:
    with pytest.raises(SettingsError, match="nearest one is LANDING_DIR"):
        Settings(landing_folder="x")
