"""Opening the warehouse: what it creates, and one clear sentence for all that can be wrong."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import Settings
from orchestration.warehouse import WAREHOUSE_VERSION, WarehouseError, open_warehouse


def settings_for(path: Path) -> Settings:
    return Settings(warehouse_path=path, duckdb_threads=1, duckdb_memory_limit="500MB")


def assert_refused(path: Path, message: str, **options: bool) -> None:
    with (
        pytest.raises(WarehouseError, match=message) as error,
        open_warehouse(settings_for(path), **options),
    ):
        pass
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_creates_folders_and_tables_once(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "a" / "b" / "w.duckdb")
    for _ in range(2):
        with open_warehouse(settings) as connection:
            version = connection.execute("select version from raw.warehouse_version").fetchall()
            zone = connection.execute("select current_setting('TimeZone')").fetchone()
            threads = connection.execute("select current_setting('threads')").fetchone()
        assert (version, zone, threads) == ([(WAREHOUSE_VERSION,)], ("UTC",), (1,))
    with open_warehouse(settings, read_only=True) as connection:
        assert connection.execute("select count(*) from raw.webhook").fetchone() == (0,)


def test_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with open_warehouse(settings_for(path)) as connection:
        connection.execute("update raw.warehouse_version set version = version + 1")
    assert_refused(path, "newer version of this project")


def test_locked_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        holder.stdout.readline()
        assert_refused(path, f"another program .*{holder.pid}.*run again")
    finally:
        holder.communicate(b"\n")


def test_open_in_this_process_with_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)):
        assert_refused(path, "already open")


def test_directory_and_foreign_file(tmp_path: Path) -> None:
    assert_refused(tmp_path, "is a directory: name a file")
    text = tmp_path / "text.txt"
    text.write_text("hello " * 5000)
    assert_refused(text, "not a DuckDB database")
    assert text.read_text().startswith("hello")
    assert_refused(text / "w.duckdb", "cannot be created")


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with open_warehouse(settings_for(path)):
        pass
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    assert_refused(path, "may be damaged")


def test_read_only_needs_a_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "w.duckdb", "no warehouse", read_only=True)
    assert not (tmp_path / "w.duckdb").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert_refused(tmp_path / "w.duckdb", "cannot be written")
