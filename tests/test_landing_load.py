"""Loading landing files: formats, growth, refusal, broken files, kills, counts."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from orchestration.landing import LandingError, LoadResult, load_landing_dir
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse

NOW = datetime(2026, 11, 1, 12)
COMPRESS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def webhook(number: int = 1, timestamp: str | None = "1790000000", **extra: object) -> str:
    message = {"id": f"wamid.{number}", "timestamp": timestamp, "type": "text"} | extra
    change = {"field": "messages", "value": {"messages": [message]}}
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "2", "changes": [change]}]}
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "in").mkdir()
    return Settings(landing_dir=tmp_path / "in", warehouse_path=tmp_path / "w.duckdb")


def load(settings: Settings, now: datetime = NOW) -> LoadResult:
    with open_warehouse(settings) as connection:
        return load_landing_dir(connection, settings, now=now)


def rows(settings: Settings, sql: str) -> list[tuple]:
    with open_warehouse(settings, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def loaded(settings: Settings) -> list[tuple]:
    return rows(settings, "select landing_file, line_number, body from raw.webhook order by all")


def rejected(settings: Settings) -> list[tuple]:
    return rows(
        settings,
        "select landing_file, line_number, split_part(reason, ':', 1) from raw.rejected_record"
        " order by all",
    )


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL", ".json"])
def test_lines_in_nested_folders(settings: Settings, compression: str, suffix: str) -> None:
    folder = settings.landing_dir / "a" / "b"
    folder.mkdir(parents=True)
    text = f"\ufeff{webhook(1)}\r\n\n  {webhook(2)}\t\r\n"
    (folder / f"x{suffix}{compression}").write_bytes(COMPRESS[compression](text.encode()))
    result = load(settings)
    name = f"a/b/x{suffix}{compression}"
    assert loaded(settings) == [(name, 1, webhook(1)), (name, 3, webhook(2))]
    assert (result.records, result.empty_lines, result.new, result.error()) == (2, 1, 1, None)
    assert load(settings).unchanged == 1
    assert len(loaded(settings)) == 2


def test_document_with_an_object_an_array_and_over_several_lines(settings: Settings) -> None:
    pretty = json.dumps(json.loads(webhook(1)), indent=2)
    (settings.landing_dir / "object.json").write_text(pretty)
    (settings.landing_dir / "array.json").write_text(f"[{webhook(2)},\n 5, {webhook(3)}]")
    load(settings)
    assert loaded(settings) == [
        ("array.json", 1, webhook(2)),
        ("array.json", 3, webhook(3)),
        ("object.json", 1, pretty),
    ]
    assert rejected(settings) == [("array.json", 2, "not_a_webhook")]


def test_broken_document_is_rejected_and_loads_once_it_is_whole(settings: Settings) -> None:
    file = settings.landing_dir / "x.json"
    file.write_text(webhook()[:-5])
    load(settings)
    assert rejected(settings) == [("x.json", 1, "bad_json")]
    file.write_text(webhook())
    assert load(settings).grown == 1
    assert loaded(settings) == [("x.json", 1, webhook())]


def test_appended_lines_alone_are_loaded_and_an_unterminated_one_waits(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n" + webhook(2))
    result = load(settings)
    assert (result.records, result.waiting) == (1, ["x.jsonl"])
    assert load(settings).waiting == ["x.jsonl"]
    with file.open("a") as stream:
        stream.write("\n" + webhook(3) + "\n" + webhook(4)[:20])
    result = load(settings)
    assert (result.records, result.grown, result.waiting) == (2, 1, ["x.jsonl"])
    assert [(line, body) for _, line, body in loaded(settings)] == [
        (number, webhook(number)) for number in (1, 2, 3)
    ]
    assert rows(settings, "select loaded_lines, record_count from raw.landing_file") == [(3, 3)]


def test_archive_without_last_line_end_is_whole(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl.gz"
    file.write_bytes(gzip.compress(webhook(1).encode()))
    assert load(settings).records == 1
    file.write_bytes(gzip.compress(f"{webhook(1)}\n{webhook(2)}\n{webhook(3)[:9]}".encode()))
    result = load(settings)
    assert (result.records, result.grown, result.waiting) == (1, 1, ["x.jsonl.gz"])
    assert [line for _, line, _ in loaded(settings)] == [1, 2]
    file.write_bytes(gzip.compress(webhook(1).encode() + b"x\n"))
    assert list(load(settings).refused) == ["x.jsonl.gz"]


@pytest.mark.parametrize("text", [webhook(9) + "\n" + webhook(2) + "\n", "", webhook(1)[:30]])
def test_file_changed_where_it_was_loaded_is_refused_by_name(settings: Settings, text: str) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n")
    load(settings)
    file.write_text(text)
    (settings.landing_dir / "y.jsonl").write_text(webhook(5) + "\n")
    for records in (1, 0):
        result = load(settings)
        assert (result.records, list(result.refused)) == (records, ["x.jsonl"])
        assert "x.jsonl was refused" in str(result.error())
    assert [file for file, _, _ in loaded(settings)] == ["x.jsonl", "y.jsonl"]


def test_touched_file_is_no_change(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n")
    load(settings)
    os.utime(file, (1, 1))
    result = load(settings)
    assert (result.unchanged, result.error()) == (1, None)
    assert rows(settings, "select epoch(modified_at) from raw.landing_file") == [(1,)]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_cut_off_archive_leaves_nothing_behind(settings: Settings, compression: str) -> None:
    text = "".join(webhook(n, padding=os.urandom(900).hex()) + "\n" for n in range(2000))
    whole = COMPRESS[compression](text.encode() + b"rubbish\n")
    file = settings.landing_dir / f"x.jsonl{compression}"
    file.write_bytes(whole[:-9])
    (settings.landing_dir / "y.jsonl").write_text(webhook() + "\n")
    result = load(settings)
    assert list(result.unreadable) == [file.name]
    assert (result.records, len(loaded(settings)), rejected(settings)) == (1, 1, [])
    file.write_bytes(whole)
    result = load(settings)
    assert (result.records, result.rejected_count, result.error()) == (2000, 1, None)


def test_files_that_are_odd_but_harmless(settings: Settings) -> None:
    root = settings.landing_dir
    for name in ("empty.json", "empty.jsonl", "empty.jsonl.gz", ".hidden.jsonl", "notes.txt"):
        (root / name).touch()
    (root / "blank.json").write_text(" \n")
    (root / "loop").symlink_to(root)
    (root / "gone.jsonl").symlink_to(root / "nowhere")
    result = load(settings)
    assert (result.records, result.rejected_count, result.ignored, result.new) == (0, 0, 1, 4)
    assert list(result.unreadable) == ["gone.jsonl"]
    (root / "blank.json").write_text(webhook())
    assert load(settings).records == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook() + "\n")
    file.chmod(0)
    assert list(load(settings).unreadable) == ["x.jsonl"]


def test_file_that_vanishes_during_the_run(settings: Settings, monkeypatch) -> None:
    from orchestration.landing import load as module

    (settings.landing_dir / "x.jsonl").write_text(webhook() + "\n")
    real = module.list_files

    def list_and_remove(root: Path):
        listing = real(root)
        (root / "x.jsonl").unlink()
        return listing

    monkeypatch.setattr(module, "list_files", list_and_remove)
    result = load(settings)
    assert (result.vanished, result.records, result.error()) == (["x.jsonl"], 0, None)


def test_missing_directory(settings: Settings) -> None:
    settings.landing_dir.rmdir()
    with pytest.raises(LandingError, match="does not exist: set LANDING_DIR"):
        load(settings)


def test_rejected_records_keep_everything(settings: Settings) -> None:
    (settings.landing_dir / "x.jsonl").write_bytes(
        b'{"a":"\xff\x00"}\n' + webhook().encode() + b"\n"
    )
    result = load(settings)
    assert result.rejected == {"bad_encoding": 1}
    assert rows(settings, "select record_text, rejected_at from raw.rejected_record") == [
        ('{"a":"\\xff\x00"}', NOW)
    ]
    assert len(loaded(settings)) == 1


def test_many_rejected_records_are_written_in_between(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("orchestration.landing.load.REJECTED_BYTES", 1000)
    monkeypatch.setattr("orchestration.landing.load.BATCH_ROWS", 10)
    monkeypatch.setattr("orchestration.landing.load.BLOCK_BYTES", 500)
    (settings.landing_dir / "x.jsonl").write_text((webhook() + "\n{}\n") * 200)
    result = load(settings)
    assert (result.records, result.rejected_count) == (200, 200)
    assert len(loaded(settings)) == len(rejected(settings)) == 200


def test_file_time_stands_in_as_first_seen(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1, None) + "\n")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    load(settings)
    with file.open("a") as stream:
        stream.write(webhook(2, None) + "\n")
    load(settings)
    assert rows(settings, "select distinct epoch(received_at) from raw.webhook") == [
        (1_700_000_000,)
    ]


def test_wrong_counts_load_nothing(settings: Settings, monkeypatch) -> None:
    from orchestration.landing import load as module

    (settings.landing_dir / "x.jsonl").write_text("{}\n")
    monkeypatch.setattr(module._Load, "_write_rejected", lambda self: None)
    with pytest.raises(LandingError, match="counts do not agree"):
        load(settings)
    assert rows(settings, "select * from raw.load") == []


def test_error_while_reading_rolls_back(settings: Settings, monkeypatch) -> None:
    (settings.landing_dir / "x.jsonl").write_text(webhook() + "\n")
    monkeypatch.setattr("orchestration.landing.load.read_record", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load(settings)
    monkeypatch.undo()
    assert load(settings).records == 1


def test_kill_at_any_moment_loses_and_duplicates_nothing(settings: Settings) -> None:
    lines = 60_000
    for part in range(3):
        (settings.landing_dir / f"{part}.jsonl").write_text(
            "".join(webhook(number) + "\n" for number in range(lines // 3))
        )
    code = (
        "from orchestration.landing import load_landing_dir as load\n"
        "from orchestration.settings import Settings\n"
        "from orchestration.warehouse import open_warehouse\n"
        "settings = Settings()\n"
        "with open_warehouse(settings) as connection:\n"
        "    print('go', flush=True)\n"
        "    load(connection, settings)\n"
    )
    environment = os.environ | settings.environment()
    for delay in (0.0, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    load(settings)
    assert rows(settings, "select count(*) from raw.webhook") == [(lines,)]
    assert rows(settings, "select sum(records) from raw.load") == [(lines,)]
