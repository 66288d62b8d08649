"""Loading landing files: formats, growth, refusal, broken files, kills, counts."""

import bz2
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from orchestration.landing import LandingError, LoadResult, load_landing_dir, retry_rejected
from orchestration.landing.records import RecordReader
from orchestration.settings import Settings
from orchestration.warehouse import WAREHOUSE_VERSION, open_warehouse

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
    assert (result.records, result.empty_lines, result.new, result.left_out) == (2, 1, 1, {})
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
    assert list(load(settings).left_out) == ["x.jsonl.gz"]


@pytest.mark.parametrize("text", [webhook(9) + "\n" + webhook(2) + "\n", "", webhook(1)[:30]])
def test_file_changed_where_it_was_loaded_is_refused_by_name(settings: Settings, text: str) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n")
    load(settings)
    file.write_text(text)
    (settings.landing_dir / "y.jsonl").write_text(webhook(5) + "\n")
    for records in (1, 0):
        result = load(settings)
        assert (result.records, list(result.left_out)) == (records, ["x.jsonl"])
        assert "x.jsonl was left out" in " ".join(result.sentences())
    assert [file for file, _, _ in loaded(settings)] == ["x.jsonl", "y.jsonl"]


def test_touched_file_is_no_change(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n")
    load(settings)
    os.utime(file, (1, 1))
    result = load(settings)
    assert (result.unchanged, result.left_out) == (1, {})
    assert rows(settings, "select epoch(modified_at) from raw.landing_file") == [(1,)]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_cut_off_archive_leaves_nothing_behind(settings: Settings, compression: str) -> None:
    text = "".join(webhook(n, padding=os.urandom(900).hex()) + "\n" for n in range(2000))
    whole = COMPRESS[compression](text.encode() + b"rubbish\n")
    file = settings.landing_dir / f"x.jsonl{compression}"
    file.write_bytes(whole[:-9])
    (settings.landing_dir / "y.jsonl").write_text(webhook() + "\n")
    result = load(settings)
    assert list(result.left_out) == [file.name]
    assert (result.records, len(loaded(settings)), rejected(settings)) == (1, 1, [])
    file.write_bytes(whole)
    result = load(settings)
    assert (result.records, result.rejected_count, result.left_out) == (2000, 1, {})


def test_files_that_are_odd_but_harmless(settings: Settings) -> None:
    root = settings.landing_dir
    for name in ("empty.json", "empty.jsonl", "empty.jsonl.gz", ".hidden.jsonl", "notes.txt"):
        (root / name).touch()
    (root / "blank.json").write_text(" \n")
    (root / "loop").symlink_to(root)
    (root / "gone.jsonl").symlink_to(root / "nowhere")
    result = load(settings)
    assert (result.records, result.rejected_count, result.ignored, result.new) == (0, 0, 1, 4)
    assert list(result.left_out) == ["gone.jsonl"]
    (root / "blank.json").write_text(webhook())
    assert load(settings).records == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook() + "\n")
    file.chmod(0)
    assert list(load(settings).left_out) == ["x.jsonl"]


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
    assert (list(result.left_out), result.records) == (["x.jsonl"], 0)


def test_missing_directory(settings: Settings) -> None:
    settings.landing_dir.rmdir()
    with pytest.raises(LandingError, match="does not exist: set LANDING_DIR"):
        load(settings)


def test_rejected_records_keep_everything(settings: Settings) -> None:
    (settings.landing_dir / "x.jsonl").write_bytes(
        b'{"a":"\xff\x00"}\n' + webhook().encode() + b"\n"
    )
    result = load(settings)
    assert result.rejected == {"bad_json": 1}
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
    monkeypatch.setattr(RecordReader, "read", lambda *_: 1 / 0)
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


# --- Odd files ------------------------------------------------------------------------------------

LINES = (webhook(1) + "\n" + webhook(2, name="ação 😀") + "\n").encode()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.jsonl", LINES)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x.jsonl"), io.BytesIO(LINES))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gzip.jsonl", gzip.compress(LINES)),
        ("gzip.json", gzip.compress(LINES)),
        ("two_members.jsonl.gz", gzip.compress(LINES[:50]) + gzip.compress(LINES[50:])),
        ("zstd.jsonl", COMPRESS[".zst"](LINES)),
        ("zstd.jsonl.gz", COMPRESS[".zst"](LINES)),
        ("plain.jsonl.gz", LINES),
        ("plain.jsonl.zst", b"\xef\xbb\xbf" + LINES),
        ("utf-16.jsonl", LINES.decode().encode("utf-16")),
        ("utf-16-be.jsonl", b"\xfe\xff" + LINES.decode().encode("utf-16-be")),
        ("utf-16-le.jsonl", LINES.decode().encode("utf-16-le")),
        ("utf-32.jsonl", LINES.decode().encode("utf-32")),
        ("utf-16.jsonl.gz", gzip.compress(LINES.decode().encode("utf-16"))),
        ("returns.jsonl", LINES.replace(b"\n", b"\r")),
        ("returns.jsonl.gz", gzip.compress(LINES.replace(b"\n", b"\r")[:-1])),
        ("returns-utf-16.jsonl", LINES.replace(b"\n", b"\r").decode().encode("utf-16")),
        ("array.json", b"[" + LINES.strip().replace(b"\n", b",") + b"]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_content_is_recognised_whatever_the_name(
    settings: Settings, name: str, content: bytes
) -> None:
    (settings.landing_dir / name).write_bytes(content)
    result = load(settings)
    assert (result.records, result.sentences()) == (2, [])
    bodies = [json.loads(body) for _, _, body in loaded(settings)]
    assert bodies == [json.loads(line) for line in LINES.splitlines()]
    assert load(settings).unchanged == 1


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("zip.jsonl", zipped(), "zip archive: unzip it"),
        ("tar.jsonl", tarred(), "tar archive: unpack it"),
        ("tar.jsonl.gz", gzip.compress(tarred()), "tar archive: unpack it"),
        ("bz2.jsonl", bz2.compress(LINES), "bzip2 archive: unpack it"),
        ("twice.jsonl.gz", gzip.compress(gzip.compress(LINES)), "archive in an archive"),
        ("torn.jsonl.gz", gzip.compress(LINES)[:-9], "bring it again"),
        ("head.jsonl.gz", gzip.compress(LINES)[5:], "no gzip archive"),
        ("torn.jsonl.zst", COMPRESS[".zst"](LINES)[:-9], "bring it again"),
        ("parquet.json", b"PAR1" + bytes(50), "Parquet file"),
        ("broken.jsonl", b"\xff\xfe{\x00" + b"\x00\xdc" * 9 + b"\x00\xd8\x00", None),
        ("bomb.jsonl.gz", gzip.compress(b" " * (120 << 20)), "more than 300 times"),
        ("tiny.json", b"[" + b"1," * 9_000_000 + b"1]", "too many tiny values"),
    ],
    # an archive holds the time it was made: not a name for a test
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_that_is_left_out_is_named_and_the_others_load(
    settings: Settings, name: str, content: bytes, why: str | None
) -> None:
    (settings.landing_dir / "good.jsonl").write_bytes(LINES)
    (settings.landing_dir / name).write_bytes(content)
    for records in (2, 0):
        result = load(settings)
        assert result.records == records
        if why:
            assert list(result.left_out) == [name]
            assert why in " ".join(result.sentences())
    (settings.landing_dir / name).write_bytes(webhook(9).encode() + b"\n")
    assert load(settings).records == 1


def test_what_is_no_file_never_stops_the_others(settings: Settings, tmp_path: Path) -> None:
    root = settings.landing_dir
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.jsonl").write_bytes(LINES)
    (root / "good.jsonl").write_bytes(LINES)
    (root / "inside.jsonl").symlink_to(root / "good.jsonl")
    os.mkfifo(root / "fifo.jsonl")
    os.mkfifo(root / "notes.txt")
    (root / "a.jsonl").symlink_to(root / "b.jsonl")
    (root / "b.jsonl").symlink_to(root / "a.jsonl")
    (root / "circle").symlink_to(root / "circle")
    (root / "gone.jsonl").symlink_to(root / "nowhere")
    (root / "file_outside.jsonl").symlink_to(outside / "x.jsonl")
    (root / "folder_outside").symlink_to(outside)
    (root / "folder.jsonl").mkdir()
    result = load(settings)
    assert result.records == 4
    assert set(result.left_out) >= {
        "fifo.jsonl", "a.jsonl", "b.jsonl", "gone.jsonl", "file_outside.jsonl", "folder_outside"
    }  # fmt: skip
    assert "leads out of LANDING_DIR" in result.left_out["folder_outside"]


def test_file_that_becomes_a_fifo_while_listed(settings: Settings, monkeypatch) -> None:
    from orchestration.landing import load as module

    file = settings.landing_dir / "x.jsonl"
    file.write_bytes(LINES)
    real = module.list_files

    def list_and_replace(root: Path):
        listing = real(root)
        file.unlink()
        os.mkfifo(file)
        return listing

    monkeypatch.setattr(module, "list_files", list_and_replace)
    assert "not a regular file" in load(settings).left_out["x.jsonl"]


@pytest.mark.parametrize("act", ["grow", "shrink", "vanish"])
def test_file_that_changes_while_it_is_read(settings: Settings, monkeypatch, act: str) -> None:
    from orchestration.landing import files

    file = settings.landing_dir / "x.jsonl"
    lines = [webhook(number) + "\n" for number in range(2000)]
    file.write_text("".join(lines))
    monkeypatch.setattr("orchestration.landing.load.BLOCK_BYTES", 10_000)
    monkeypatch.setattr("orchestration.landing.files.BLOCK_BYTES", 10_000)
    real, calls = files.Content.read, []

    def read(content: files.Content, count: int) -> bytes:
        block = real(content, count)
        calls.append(count)
        if act == "grow":
            with file.open("a") as stream:
                stream.write(webhook(5000 + len(calls)) + "\n")
        elif len(calls) == 3:
            file.unlink() if act == "vanish" else os.truncate(file, 100_000)
        return block

    monkeypatch.setattr(files.Content, "read", read)
    first = load(settings)
    monkeypatch.undo()
    assert len(calls) > 3
    second = load(settings)
    bodies = [body for _, _, body in loaded(settings)]
    if act == "grow":
        assert (first.records, second.records) == (2000, len(calls))
        assert bodies == [line.strip() for line in file.read_text().splitlines()]
    elif act == "vanish":
        assert (len(bodies), second.left_out) == (2000, {})
    else:
        assert bodies == [line.strip() for line in lines[: len(bodies)]]
        assert (len(bodies), second.left_out) == (file.read_text().count("\n"), {})


def test_carriage_return_at_the_end_may_be_half_a_line_end(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\r", newline="")
    assert load(settings).waiting == ["x.jsonl"]
    file.write_text(webhook(1) + "\r\n" + webhook(2) + "\r\n", newline="")
    assert load(settings).records == 2


@pytest.mark.parametrize("end", ["\n", ""])
def test_line_that_is_too_long_costs_itself(settings: Settings, monkeypatch, end: str) -> None:
    monkeypatch.setattr("orchestration.landing.load.MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr("orchestration.landing.load.BLOCK_BYTES", 10_000)
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1) + "\n" + "x" * 250_000 + end)
    result = load(settings)
    assert (result.records, result.rejected_count, result.waiting) == (
        (1, 1, []) if end else (1, 0, ["x.jsonl"])
    )
    with file.open("a") as stream:
        stream.write("" if end else "\n")
        stream.write(webhook(2) + "\n")
    assert load(settings).records == 1
    assert [line for _, line, _ in loaded(settings)] == [1, 3]
    assert rejected(settings) == [("x.jsonl", 2, "too_large")]
    assert rows(settings, "select length(record_text) from raw.rejected_record") == [(65536,)]


def test_equal_rejected_lines_are_one_row_and_none_is_lost(settings: Settings) -> None:
    text = "{}\n" * 50_000 + "[]\n" + "{}\n" * 3 + webhook() + "\n\n{}\n{}"
    (settings.landing_dir / "x.jsonl").write_text(text)
    result = load(settings)
    assert (result.records, result.rejected) == (1, {"not_a_webhook": 50_005})
    found = rows(
        settings,
        "select line_number, line_count, record_text from raw.rejected_record order by line_number",
    )
    assert found == [(1, 50_000, "{}"), (50_001, 1, "[]"), (50_002, 3, "{}"), (50_007, 1, "{}")]


def test_first_load_that_takes_nothing_says_what_is_there(settings: Settings) -> None:
    (settings.landing_dir / "x.jsonl").write_text(json.dumps({"a": {"b": webhook(1)}}) + "\n")
    assert "x.jsonl line 1: a webhook body is in it: set BODY_PATH=a.b." in load(settings).hint
    (settings.landing_dir / "y.jsonl").write_text(webhook(2) + "\n")
    assert load(settings).hint is None


def test_folder_of_other_files_says_so(settings: Settings) -> None:
    (settings.landing_dir / "x.txt").write_text(webhook(1))
    assert "other endings than .json" in load(settings).hint


def test_time_of_a_file_that_cannot_be_is_passed_over(settings: Settings) -> None:
    file = settings.landing_dir / "x.jsonl"
    file.write_text(webhook(1, None) + "\n")
    os.utime(file, (0, 0))
    assert load(settings).records == 1
    assert rows(settings, "select received_at from raw.webhook") == [(NOW,)]


# --- The folder that a warehouse belongs to -------------------------------------------------------


def test_empty_folder_and_file_are_said_at_once(settings: Settings) -> None:
    with pytest.raises(LandingError, match="is empty: put webhook files"):
        load(settings)
    settings.landing_dir.rmdir()
    settings.landing_dir.touch()
    with pytest.raises(LandingError, match="is not a directory"):
        load(settings)


def test_another_folder_is_refused_and_the_same_one_moved_is_taken(
    settings: Settings, tmp_path: Path
) -> None:
    (settings.landing_dir / "x.jsonl").write_bytes(LINES)
    load(settings)
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = settings.model_copy(update={"landing_dir": other})
    for content in (None, LINES[::-1] + b"\n", LINES[:40]):
        if content:
            (other / "x.jsonl").write_bytes(content)
        with pytest.raises(LandingError, match="WAREHOUSE_PATH and a PUBLISH_DIR of its own"):
            load(elsewhere)
    assert len(loaded(settings)) == 2
    (other / "x.jsonl").write_bytes(LINES + webhook(3).encode() + b"\n")
    assert load(elsewhere).records == 1
    (other / "x.jsonl").unlink()  # archived: the folder is known by its place
    assert load(elsewhere).records == 0
    with pytest.raises(LandingError, match="made from"):
        load(settings.model_copy(update={"landing_dir": tmp_path}))


def test_a_moved_folder_is_known_by_most_of_its_files(settings: Settings, tmp_path: Path) -> None:
    for number in range(3):
        (settings.landing_dir / f"{number}.jsonl").write_text(webhook(number) + "\n")
    load(settings)
    moved = tmp_path / "moved"
    shutil.copytree(settings.landing_dir, moved)
    elsewhere = settings.model_copy(update={"landing_dir": moved})
    for number in (1, 2):
        (moved / f"{number}.jsonl").write_text(webhook(7) + "\n")
        if number == 1:  # costs itself, as it does in its place
            assert list(load(elsewhere).left_out) == ["1.jsonl"]
            load(settings)
        else:
            with pytest.raises(LandingError, match="most are not in"):
                load(elsewhere)


@pytest.mark.parametrize(
    "name",
    ["a.zip", "a.jsonl.bz2", "a.tar.gz", "a.tgz", "a.parquet", "a.avro", "a.gz", "B.JSONL.XZ"],
)
def test_what_may_hold_webhooks_and_is_not_read_is_named(settings: Settings, name: str) -> None:
    (settings.landing_dir / name).write_bytes(b"anything")
    (settings.landing_dir / "README").write_bytes(b"anything")
    (settings.landing_dir / "notes.txt").write_bytes(b"anything")
    result = load(settings)
    assert (list(result.left_out), result.ignored) == ([name], 2)


# --- Reading rejected records again ---------------------------------------------------------------


def retry(settings: Settings):
    with open_warehouse(settings) as connection:
        return retry_rejected(connection, settings, now=NOW)


def assert_counts_agree(settings: Settings) -> None:
    counted = rows(
        settings,
        "select sum(record_count + recovered_count), sum(rejected_count), sum(rejected_part_count)"
        " from raw.landing_file",
    )
    held = rows(
        settings,
        "select (select count(*) from raw.webhook),"
        " coalesce(sum(line_count) filter (json_path is null), 0), count(json_path)"
        " from raw.rejected_record",
    )
    assert counted == held


def test_retry_loads_what_can_be_read_by_now_and_nothing_twice(settings: Settings) -> None:
    bad = json.loads(webhook(1))
    items = bad["entry"][0]["changes"][0]["value"]["messages"]
    items += [None, {"id": "bad1", "timestamp": True}, {"id": "bad2", "timestamp": False}]
    wrapped = json.dumps({"unknown": webhook(7)})
    (settings.landing_dir / "x.jsonl").write_text(
        "\n".join([json.dumps(bad), wrapped, wrapped, "{}", webhook(2), ""])
    )
    result = load(settings)
    assert (result.records, result.rejected_count, result.rejected_parts) == (
        2,
        3,
        {"wrong_type": 3},
    )
    assert_counts_agree(settings)
    again = retry(settings)
    assert (again.records, again.parts, again.rejected) == (0, 0, 5)
    # An upgrade in which a boolean is a time, and a gateway is known.
    with open_warehouse(settings) as connection:
        connection.execute(
            "update raw.rejected_record set record_text = replace(record_text, 'true', '\"1790000001\"')"
        )
    again = retry(settings.model_copy(update={"body_path": "unknown"}))
    assert (again.records, again.parts, again.rejected) == (2, 1, 3)
    assert_counts_agree(settings)
    found = rows(settings, "select load_id, line_number, body from raw.webhook order by all")
    assert [row[:2] for row in found] == [(1, 1), (1, 5), (2, 1), (2, 2), (2, 3)]
    assert "bad1" in found[2][2] and found[3][2] == webhook(7)
    assert retry(settings.model_copy(update={"body_path": "unknown"})).records == 0
    assert len(loaded(settings)) == 5
    assert rows(
        settings, "select count(distinct (load_id, landing_file, line_number)) from raw.webhook"
    ) == [(5,)]


def test_warehouse_of_the_former_version_is_migrated(settings: Settings) -> None:
    (settings.landing_dir / "x.jsonl").write_bytes(LINES + b'{"a":1}\n')
    load(settings)
    half = webhook(3).replace('"text"', '"te\\xffxt"')  # as bytes that are no UTF-8 were kept
    with open_warehouse(settings) as connection:
        for column in ("json_path", "line_count"):
            connection.execute(f"alter table raw.rejected_record drop column {column}")
        for column in ("rejected_part_count", "repaired_count", "recovered_count"):
            connection.execute(f"alter table raw.landing_file drop column {column}")
        connection.execute("drop table raw.landing_folder")
        connection.execute("update raw.warehouse_version set version = 1")
        connection.execute(
            "insert into raw.rejected_record values (1, 'x.jsonl', 4, 'bad_encoding: x', ?, now())",
            [half],
        )
        connection.execute("update raw.landing_file set rejected_count = 2")
    assert load(settings).unchanged == 1
    assert rows(settings, "select max(version) from raw.warehouse_version") == [
        (WAREHOUSE_VERSION,)
    ]
    assert_counts_agree(settings)
    assert retry(settings).records == 1
    assert_counts_agree(settings)
    assert "te\ufffdxt" in loaded(settings)[2][2]
