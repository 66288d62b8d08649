"""Webhooks in by HTTP: who is let in, what is acknowledged, and that nothing acknowledged is ever lost."""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from orchestration.landing import load_landing_dir
from orchestration.landing.files import list_files
from orchestration.landing.records import MAX_BODY_BYTES as LOADER_MAX_BODY_BYTES
from orchestration.receiver import segments
from orchestration.receiver.app import MAX_BODY_BYTES
from orchestration.receiver.segments import OPEN_FOLDER, Segment, envelope, recover
from orchestration.receiver.settings import ReceiverSettings
from orchestration.settings import Settings, SettingsError
from orchestration.warehouse import open_warehouse
from tests.build import ROOT
from tests.receiving import (
    SECRETS,
    TOKEN,
    RunningReceiver,
    ThreadReceiver,
    envelopes,
    hidden,
    signature,
    wait_until,
    webhook,
)

KILLS = int(os.environ.get("KILLED_RECEIVERS", "4"))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """One for all requests that need no settings of their own."""
    with RunningReceiver(
        tmp_path_factory.mktemp("receiver") / "landing", receiver_workers=2
    ) as running:
        yield running


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name, value in {
        "LANDING_DIR": str(tmp_path),
        "APP_SECRETS": "one-secret, other-secret",
        "VERIFY_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_secrets_are_split_and_never_shown(environment):
    settings = ReceiverSettings()
    assert [secret.get_secret_value() for secret in settings.app_secrets] == [
        "one-secret",
        "other-secret",
    ]
    assert settings.receiver_host == "127.0.0.1"
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert "one-secret" not in shown and "other-secret" not in shown and TOKEN not in shown


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("APP_SECRETS", None, "APP_SECRETS is not set: set it to the app secret"),
        ("APP_SECRETS", " , ", "APP_SECRETS is not usable: set it to the app secret"),
        ("VERIFY_TOKEN", "", "VERIFY_TOKEN is not set: set it to a secret of your choice"),
        ("LANDING_DIR", None, "LANDING_DIR is not set: set it to the folder"),
        ("LANDING_DIR", "/nowhere/at/all", "LANDING_DIR=/nowhere/at/all does not exist"),
        ("LANDING_DIR", __file__, "is not a directory"),
        ("RECEIVER_PORT", "http", "RECEIVER_PORT is not usable: give a port"),
        ("RECEIVER_HOST", "no such host", "RECEIVER_HOST is not usable: give an address"),
        ("RECEIVER_PATH", "webhook/", "RECEIVER_PATH is not usable: give a path"),
        ("RECEIVER_WORKERS", "0", "RECEIVER_WORKERS is not usable: give a whole number"),
        ("RECEIVER_QUEUE_BYTES", "much", "RECEIVER_QUEUE_BYTES is not usable: give a size"),
        ("RECEIVER_UMASK", "rwx", "RECEIVER_UMASK is not usable: give 077"),
        ("RECEIVER_PROT", "80", "RECEIVER_PROT is not a setting of the receiver: it has RECEIVER_"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_the_cure(environment, name, value, sentence):
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence):
        ReceiverSettings()


def test_secrets_come_from_a_credentials_directory_too(environment, tmp_path):
    (tmp_path / "app_secrets").write_text("from-a-file,and-another\n")
    (tmp_path / "verify_token").write_text("token-from-a-file\n")
    environment.delenv("APP_SECRETS")
    environment.delenv("VERIFY_TOKEN")
    environment.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = ReceiverSettings()
    assert [secret.get_secret_value() for secret in settings.app_secrets] == [
        "from-a-file",
        "and-another",
    ]
    assert settings.verify_token.get_secret_value() == "token-from-a-file"


def test_it_does_not_start_without_secrets_and_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.receiver"],
        cwd=ROOT,
        env={**os.environ, "LANDING_DIR": str(tmp_path), "VERIFY_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: APP_SECRETS is not set")
    assert len(done.stderr.splitlines()) == 1


def test_the_docs_name_every_setting_and_only_metrics_that_there_are():
    receiving = (ROOT / "docs" / "receiving.md").read_text()
    settings = receiving.partition("## Settings")[2].partition("A variable `RECEIVER_")[0]
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", settings))
    assert named == {name.upper() for name in ReceiverSettings.model_fields}
    operations = (ROOT / "docs" / "operations.md").read_text()
    metrics = set(re.findall(r"`(receiver_[a-z_]+)", operations))
    assert metrics and metrics <= set(REGISTRY._names_to_collectors)


# --- Who is let in ----------------------------------------------------------------------------------------------------


def test_the_handshake_gives_the_challenge_back(receiver):
    query = f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={TOKEN}"
    status, headers, body = receiver.request("GET", f"/webhook?{query}")
    assert (status, body) == (200, b"1158201444")
    assert headers["content-type"].startswith("text/plain")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        f"hub.mode=subscribe&hub.challenge=1&hub.verify_token={TOKEN}x",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=%F0%9F%98%80",
        f"hub.mode=unsubscribe&hub.challenge=1&hub.verify_token={TOKEN}",
        f"hub.mode=subscribe&hub.verify_token={TOKEN}",
        f"hub.mode=subscribe&hub.challenge=1&hub.verify_token={TOKEN}&hub.verify_token=other",
    ],
)
def test_the_handshake_is_refused(receiver, query):
    status, _, body = receiver.request("GET", f"/webhook?{query}")
    assert status == 403
    assert TOKEN.encode() not in body


@pytest.mark.parametrize("secret", SECRETS)
def test_every_app_secret_signs(receiver, secret):
    assert receiver.post(webhook(1), secret=secret) == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 403),
        ("sha256=", 403),
        ("sha256=" + "0" * 64, 403),
        (signature(webhook(2), "a secret of somebody else"), 403),
        (signature(webhook(3)), 403),  # of another body
        (signature(webhook(2)).removeprefix("sha256="), 403),
        (signature(webhook(2)).replace("sha256=", "sha1="), 403),
        (signature(webhook(2)) + "é", 403),
    ],
)
def test_what_is_not_signed_is_not_taken(receiver, header, status):
    headers = {} if header is None else {"X-Hub-Signature-256": header.encode("latin-1")}
    assert receiver.request("POST", "/webhook", webhook(2), headers)[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/webhook", 405),
        ("POST", "/elsewhere", 404),
        ("POST", "/webhooks", 404),
        ("GET", "/", 404),
        ("GET", "/webhook/..%2f..%2fetc%2fpasswd", 403),
    ],
)
def test_nothing_else_is_served(receiver, method, path, status):
    body = webhook(4)
    headers = {"X-Hub-Signature-256": signature(body)}
    assert receiver.request(method, path, body, headers)[0] == status


def test_bodies_up_to_3_mib_are_taken_and_no_larger_ones(receiver):
    assert MAX_BODY_BYTES == LOADER_MAX_BODY_BYTES
    assert receiver.post(b" " * MAX_BODY_BYTES) == 200
    with pytest.raises(OSError) as refused:  # the connection is closed while the body is sent
        assert receiver.post(b" " * (MAX_BODY_BYTES + 1)) == 413
        raise OSError(errno.EPIPE, "it was sent as a whole")
    assert refused.value.errno in (errno.EPIPE, errno.ECONNRESET)
    wait_until(lambda: receiver.log.count("webhook 413") == 1)


def test_a_body_too_large_is_refused_before_it_is_sent(receiver):
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as client:
        head = f"X-Hub-Signature-256: sha256=0\r\nContent-Length: {10**12}\r\n"
        client.sendall(f"POST /webhook HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
        assert b" 413 " in client.recv(1000)


def test_chunks_are_counted_where_no_length_is_given(receiver):
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as client:
        head = "X-Hub-Signature-256: sha256=0\r\nTransfer-Encoding: chunked\r\n"
        client.sendall(f"POST /webhook HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
        chunk = f"{MAX_BODY_BYTES:x}\r\n".encode() + bytes(MAX_BODY_BYTES) + b"\r\n"
        client.sendall(chunk)
        client.sendall(b"1\r\nx\r\n")  # and no end
        assert b" 413 " in client.recv(1000)


# --- What is kept -----------------------------------------------------------------------------------------------------

BODIES = {
    "webhook": webhook(100),
    "pretty": b'{\n  "object": "whatsapp_business_account",\r\n\t"entry": [] }\n\n',
    "unicode": '{"object": "é\u2028\u2029\U0001f600\\u00e9\\ud83d"}'.encode(),
    "controls": b'{"a": "\\u0000\\u001b[2J"}\x7f',
    "numbers": b'{"a": 1e400, "b": 1.0, "c": -0, "a": 12345678901234567890123}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "no JSON": b"hello\nworld",
    "empty": b"",
    "null bytes": bytes(10),
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "surrogate": b'{"a": "\xed\xa0\x80"}',
    "deep": b"[" * 10_000 + b"]" * 10_000,
}


def test_every_byte_of_a_body_is_kept_and_the_loader_takes_every_line(tmp_path):
    landing = tmp_path / "landing"
    before = datetime.now(UTC)
    with RunningReceiver(landing) as running:
        for name, body in BODIES.items():
            path = f"/webhook/{name.replace(' ', '%20')}?token=secret"
            assert running.post(body, path) == 200, name
    records = envelopes(landing)
    kept = {
        record["path"].removeprefix("/webhook/"): record["body"].encode()
        if "body" in record
        else base64.b64decode(record["body_base64"])
        for record in records
    }
    assert kept == BODIES
    for record in records:
        received_at = datetime.fromisoformat(record["received_at"])
        assert before <= received_at <= before + timedelta(minutes=1)
    settings = Settings(landing_dir=landing, warehouse_path=tmp_path / "warehouse.duckdb")
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings)
        assert (result.records, result.rejected_count) == (2, len(BODIES) - 2)
        assert result.left_out == {} and result.waiting == []
        bodies = warehouse.execute("select body from raw.webhook").fetchall()
        assert {body.encode() for (body,) in bodies} == {
            BODIES["webhook"],
            BODIES["pretty"],
        }


def test_segments_rotate_by_size_and_by_age_while_it_runs(tmp_path):
    by_size, by_age = tmp_path / "size", tmp_path / "age"
    with RunningReceiver(by_size, receiver_segment_bytes="2KiB") as running:
        for number in range(12):
            assert running.post(webhook(number)) == 200
        wait_until(lambda: len(list(by_size.glob("*.jsonl"))) == 4)
        assert all(path.stat().st_size > 2048 for path in by_size.glob("*.jsonl"))
    with RunningReceiver(by_age, receiver_segment_seconds=0.2) as running:
        assert running.post(webhook(1)) == 200
        wait_until(lambda: len(envelopes(by_age)) == 1)
        assert hidden(by_age) == []
    assert len(envelopes(by_size)) == 12


@pytest.mark.parametrize(("umask", "mode"), [("077", 0o600), ("027", 0o640)])
def test_segments_are_for_their_user_or_also_for_a_group(tmp_path, umask, mode):
    with RunningReceiver(tmp_path / "landing", receiver_umask=umask) as running:
        assert running.post(webhook(1)) == 200
    [path] = (tmp_path / "landing").glob("*.jsonl")
    assert path.stat().st_mode & 0o777 == mode


def test_the_log_tells_no_secret_no_query_and_nobody(tmp_path):
    with RunningReceiver(tmp_path / "landing", receiver_workers=2) as running:
        running.request(
            "GET", f"/webhook?hub.mode=subscribe&hub.challenge=77881&hub.verify_token={TOKEN}"
        )
        running.post(webhook(42), "/webhook/tenant-of-a-customer?phone=16505551234")
        running.post(webhook(42), secret="a wrong one")
        running.request("GET", "/16505551234%0aforged%20line")
    assert running.log.count("webhook 200") == 1
    assert running.log.count("webhook 403") == 1
    assert running.log.count("none 404") == 1
    told = [TOKEN, *SECRETS, "77881", "16505551234", "US.134", "Sheena", "tenant", "forged"]
    assert [text for text in told if text in running.log] == []


# --- Health -----------------------------------------------------------------------------------------------------------


QUEUE = "receiver_queue_requests"


def metric(text: bytes, name: str) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.decode().splitlines()
        if line.startswith(name) and not line.startswith("#")
    )


def test_metrics_are_of_all_workers_and_of_dead_ones_too(tmp_path):
    with RunningReceiver(tmp_path / "landing", receiver_workers=2) as running:
        for number in range(20):
            assert running.post(webhook(number)) == 200
        with socket.create_connection(("127.0.0.1", running.port)) as slow:
            slow.sendall(head(webhook(0), "Content-Length: 100") + b"{")
            wait_until(lambda: metric(running.request("GET", "/metrics")[2], QUEUE) == 1)
            for victim in running.children():
                os.kill(victim, signal.SIGKILL)
            wait_until(lambda: running.log.count("startup complete") == 4)
            wait_until(running.listens)
        for number in range(20):
            assert running.post(webhook(number)) == 200
        status, headers, text = running.request("GET", "/metrics")
        assert status == 200 and headers["content-type"].startswith("text/plain")
        assert metric(text, "receiver_records_total") == 40
        assert metric(text, 'receiver_requests_total{route="webhook",status="200"}') == 40
        assert metric(text, QUEUE) == 0
        assert metric(text, "receiver_body_bytes_total") == 40 * len(webhook(0))
    assert len(envelopes(tmp_path / "landing")) == 40


def test_it_is_ready_while_its_folder_can_be_written(tmp_path):
    landing = tmp_path / "landing"
    with RunningReceiver(landing) as running:
        assert running.request("GET", "/health")[0] == 200
        assert running.request("GET", "/ready")[0] == 200
        shutil.rmtree(landing)
        assert running.request("GET", "/ready")[0] == 503
        status, headers, _ = running.request(
            "POST", "/webhook", webhook(1), {"X-Hub-Signature-256": signature(webhook(1))}
        )
        assert status == 503 and int(headers["retry-after"]) > 0
        assert running.request("GET", "/health")[0] == 200
        landing.mkdir()
        assert running.request("GET", "/ready")[0] == 200
        assert running.post(webhook(2)) == 200
    assert len(envelopes(landing)) == 1


# --- Bad clients ------------------------------------------------------------------------------------------------------


def raw(port: int, content: bytes) -> bytes:
    """What comes back for bytes sent as they are, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(content)
        answer = b""
        while block := client.recv(65_536):
            answer += block
        return answer


def head(body: bytes, *lines: str) -> bytes:
    """The head of a signed request, after whose answer the connection is closed."""
    signed = f"X-Hub-Signature-256: {signature(body)}"
    fixed = ("POST /webhook HTTP/1.1", "Host: a", "Connection: close", signed)
    return "\r\n".join((*fixed, *lines)).encode() + b"\r\n\r\n"


def test_bodies_with_wrong_lengths_are_not_taken(tmp_path):
    body = webhook(7)
    whole, chunked = f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"
    landing = tmp_path / "landing"
    with RunningReceiver(landing, receiver_body_seconds=0.5) as running:
        for lengths, status in {
            (f"Content-Length: {len(body) + 5}",): b" 408 ",  # the rest never comes
            (f"Content-Length: {len(body) - 5}",): b" 40",  # another body, and then no request
            ("Content-Length: -1",): b" 400 ",
            ("Content-Length: many",): b" 400 ",
            (whole, "Content-Length: 3"): b" 400 ",
            (whole, chunked): b" 400 ",
            (chunked,): b" 400 ",  # and then no chunk
            (): b" 403 ",  # no body at all
        }.items():
            answer = raw(running.port, head(body, *lengths) + body)
            assert answer[8:].startswith(status), (lengths, answer)
            assert b" 200 " not in answer
        # a client that leaves in the middle, by itself or because its machine does
        for linger in (b"", struct.pack("ii", 1, 0)):
            with socket.create_connection(("127.0.0.1", running.port)) as client:
                client.sendall(head(body, whole) + body[:-1])
                if linger:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert b" 200 " in raw(running.port, head(body, whole) + body)
    assert len(envelopes(landing)) == 1
    assert "Traceback" not in running.log


@pytest.mark.parametrize("piece", [b"a", b"a: b\r\n"], ids=["one line", "many lines"])
@pytest.mark.parametrize(
    "beginning",
    ["X: ", "Transfer-Encoding: chunked\r\n\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n1;"],
    ids=["head", "trailer", "chunk extension"],
)
def test_nothing_but_a_body_may_be_long(receiver, beginning, piece):
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as client:
        signed = "X-Hub-Signature-256: sha256=0"
        client.sendall(f"POST /webhook HTTP/1.1\r\nHost: a\r\n{signed}\r\n{beginning}".encode())
        sent = 0
        with pytest.raises(OSError):  # the server closes, and the client notices while it sends
            while sent < 100_000_000:
                sent += client.send(piece * 10_000)
        assert sent < 50_000_000  # what the sockets hold


def test_slow_clients_are_let_go_and_hinder_nobody(tmp_path):
    body = webhook(8)
    with RunningReceiver(tmp_path / "landing", receiver_body_seconds=0.5) as running:
        idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(300)]
        for client in idle[:100]:
            client.sendall(b"POST /webhook HTTP/1.1\r\nHost:")
        for client in idle[100:200]:
            client.sendall(head(body, f"Content-Length: {len(body)}") + body[:10])
        assert running.post(body) == 200
        for client in idle[100:200]:
            client.settimeout(20)
            assert b" 408 " in client.recv(1000)
        text = running.request("GET", "/metrics")[2]
        assert metric(text, "receiver_queue_bytes") == metric(text, QUEUE) == 0
        assert running.stop() == 0  # those that never said anything do not hold it up
        for client in idle:
            client.close()


# --- Bad disks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def spoiled(environment, tmp_path):
    """A receiver in this process, with room for three webhooks or 4 MiB."""
    environment.setenv("LANDING_DIR", str(tmp_path / "landing"))
    environment.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    environment.setenv("APP_SECRETS", SECRETS[0])
    environment.setenv("RECEIVER_QUEUE_BYTES", "4MiB")
    environment.setenv("RECEIVER_QUEUE_REQUESTS", "3")
    (tmp_path / "landing").mkdir()
    with ThreadReceiver() as running:
        yield running


def test_nobody_is_told_before_it_is_durable_and_those_who_wait_share_one_sync(
    spoiled, monkeypatch
):
    """On a disk that takes its time: the queue fills to its bound, then 503, then all goes on."""
    release = threading.Event()
    begun = threading.Event()
    syncs = []

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        begun.set()
        assert release.wait(20)

    monkeypatch.setattr(os, "fdatasync", slow)
    answers: list[int] = []

    def send(number: int) -> None:
        answers.append(spoiled.post(webhook(number)))

    threads = [threading.Thread(target=send, args=[number]) for number in range(3)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: spoiled.request("GET", "/ready")[0] == 503)  # three are in the queue
    assert answers == []
    status, headers, _ = spoiled.request(
        "POST", "/webhook", webhook(9), {"X-Hub-Signature-256": signature(webhook(9))}
    )
    assert status == 503 and int(headers["retry-after"]) > 0
    assert spoiled.request("GET", "/health")[0] == 200
    release.set()
    for thread in threads:
        thread.join(20)
    assert answers == [200, 200, 200]
    assert len(syncs) == 2  # the first alone, the two that waited for it together
    assert spoiled.request("GET", "/ready")[0] == 200
    assert spoiled.post(webhook(3)) == 200


def test_bytes_that_wait_are_bounded(spoiled, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: release.wait(20))
    large = b" " * MAX_BODY_BYTES
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(spoiled.post(large)))
    thread.start()
    wait_until(lambda: REGISTRY.get_sample_value("receiver_queue_bytes") == len(large))
    assert spoiled.post(large) == 503
    release.set()
    thread.join(20)
    assert answers == [200]
    assert REGISTRY.get_sample_value("receiver_queue_bytes") == 0


@pytest.mark.parametrize("broken", ["fdatasync", "write", "half a write", "open", "rename", "all"])
def test_a_broken_disk_is_503_and_leaves_no_half_line(spoiled, monkeypatch, tmp_path, broken):
    landing = tmp_path / "landing"
    assert spoiled.post(webhook(1)) == 200

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "spoiled by the test")

    write = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) < 300:
            raise OSError(errno.ENOSPC, "spoiled by the test")
        return write(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as disk:
        if broken in ("fdatasync", "all"):
            disk.setattr(os, "fdatasync", fail)
        if broken in ("write", "rename", "open"):
            disk.setattr(os, "write", fail)
        if broken in ("half a write", "all"):
            disk.setattr(os, "write", half)
        if broken in ("rename", "all"):
            disk.setattr(os, "rename", fail)
        if broken == "all":
            disk.setattr(os, "ftruncate", fail)
        if broken == "open":
            disk.setattr(Segment, "__init__", fail)
        for number in range(2, 5):
            assert spoiled.post(webhook(number)) == 503
    assert spoiled.post(webhook(5)) == 200
    spoiled.stop()
    recover(landing)
    assert hidden(landing) == []
    assert all(path.read_bytes().endswith(b"\n") for path in landing.glob("*.jsonl"))
    stored = [record["body"].encode() for record in envelopes(landing)]
    assert stored == [webhook(1), webhook(5)]


def test_a_segment_at_the_limit_of_a_file_gives_way_to_the_next(tmp_path):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))

    landing = tmp_path / "landing"
    bodies = [bytes([65 + number]) * 700_000 for number in range(6)]
    answers = []
    with RunningReceiver(landing, prepare=limit) as running:
        for body in bodies:
            answers.append(running.post(body))
    assert answers == [200, 200, 503, 200, 200, 503]
    stored = [record["body"].encode() for record in envelopes(landing)]
    assert stored == [body for body, answer in zip(bodies, answers, strict=True) if answer == 200]


def test_a_full_disk_is_503_until_there_is_room_again(tmp_path):
    landing = tmp_path / "landing"
    landing.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(landing)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    stored = []
    try:
        with RunningReceiver(landing, receiver_segment_bytes="100KiB") as running:
            number = 0
            while (status := running.post(webhook(number) + b" " * 50_000)) == 200:
                stored.append(number)
                number += 1
                assert number < 1000
            assert status == 503
            assert running.request("GET", "/ready")[0] == 503
            assert running.post(webhook(5000) + b" " * 50_000) == 503
            oldest = min(landing.glob("*.jsonl"))
            moved = tmp_path / oldest.name
            shutil.move(oldest, moved)
            assert running.post(webhook(number)) == 200
            stored.append(number)
        assert hidden(landing) == []
        records = [*envelopes(landing), *map(json.loads, moved.read_bytes().splitlines())]
        kept = {record["body"].strip() for record in records}
        assert kept == {webhook(number).decode() for number in stored}
    finally:
        subprocess.run(["umount", "-l", str(landing)], check=True)


# --- Dead processes ---------------------------------------------------------------------------------------------------


def test_what_a_dead_process_left_is_published_without_its_torn_line(tmp_path):
    folder = tmp_path / OPEN_FOLDER
    folder.mkdir()
    lines = [envelope(webhook(number), "/webhook", datetime.now(UTC)) for number in range(3)]
    (folder / "a.jsonl").write_bytes(b"".join(lines) + lines[0][:-1])
    (folder / "b.jsonl").write_bytes(lines[0])
    (folder / "torn.jsonl").write_bytes(b"x" * 200_000)
    (folder / "large.jsonl").write_bytes(lines[1] + b"x" * 200_000)
    (folder / "empty.jsonl").write_bytes(b"")
    (tmp_path / "elsewhere").write_bytes(lines[2])
    (folder / "link.jsonl").symlink_to(tmp_path / "elsewhere")
    live = Segment(tmp_path)
    live.append(lines[:1])
    assert list_files(tmp_path).files == []
    assert recover(tmp_path) == ["a.jsonl", "b.jsonl", "large.jsonl"]
    assert (tmp_path / "a.jsonl").read_bytes() == b"".join(lines)
    assert (tmp_path / "b.jsonl").read_bytes() == lines[0]
    assert (tmp_path / "large.jsonl").read_bytes() == lines[1]
    assert (tmp_path / "elsewhere").read_bytes() == lines[2]
    assert {path.name for path in hidden(tmp_path)} == {"link.jsonl", live.name}
    live.publish()
    assert (tmp_path / live.name).read_bytes() == lines[0]
    assert recover(tmp_path) == []


def test_many_who_recover_at_once_publish_each_segment_once(tmp_path):
    folder = tmp_path / OPEN_FOLDER
    folder.mkdir()
    line = envelope(webhook(1), "/webhook", datetime.now(UTC))
    for number in range(200):
        (folder / f"{number:03}.jsonl").write_bytes(line + b"torn")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(recover(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"{number:03}.jsonl" for number in range(200)]
    assert {path.read_bytes() for path in tmp_path.glob("*.jsonl")} == {line}


def test_a_segment_taken_before_it_was_locked_is_not_written(tmp_path, monkeypatch):
    """Between opening and locking, another process may find the file without a lock, and remove it."""
    lock = segments._lock

    def late(descriptor: int, path) -> bool:
        monkeypatch.setattr(segments, "_lock", lock)
        recover(tmp_path)
        return lock(descriptor, path)

    monkeypatch.setattr(segments, "_lock", late)
    with pytest.raises(OSError, match="was taken by another process"):
        Segment(tmp_path)


class Load:
    """Clients that send webhooks, each another one, and note which were acknowledged."""

    def __init__(self, ports: list[int], clients: int, first: int = 0) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.ending = threading.Event()
        self.numbers = iter(range(first, 10**8))
        self.threads = [
            threading.Thread(target=self._send, args=[ports[client % len(ports)]])
            for client in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def _send(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self.ending.is_set():
            number = next(self.numbers)
            body = webhook(number)
            try:
                connection.request(
                    "POST", "/webhook", body, {"X-Hub-Signature-256": signature(body)}
                )
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.01)
                continue
            (self.acknowledged if answer.status == 200 else self.refused).append(number)
        connection.close()

    def end(self) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(40)


def stored_numbers(landing) -> list[int]:
    return [int(record["body"].partition("wamid.")[2][:8]) for record in envelopes(landing)]


def test_several_processes_with_several_workers_share_a_folder_and_end_cleanly(tmp_path):
    landing = tmp_path / "landing"
    settings = {"receiver_workers": 2, "receiver_segment_bytes": "64KiB"}
    one, other = RunningReceiver(landing, **settings), RunningReceiver(landing, **settings)
    load = Load([one.port, other.port], clients=32)  # the kernel deals them out by chance
    try:
        wait_until(lambda: len(load.acknowledged) > 500)
    finally:
        statuses = [one.stop(), other.stop()]  # in the middle of it
        load.end()
    assert statuses == [0, 0]
    assert load.refused == []
    assert hidden(landing) == []
    stored = stored_numbers(landing)
    assert set(load.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    writers = {path.name.split("-")[-2] for path in landing.glob("*.jsonl")}
    assert len(writers) > 2


def test_workers_without_their_parent_publish_and_end(tmp_path):
    with RunningReceiver(tmp_path / "landing", receiver_workers=2) as running:
        for number in range(10):
            assert running.post(webhook(number)) == 200
        running.process.kill()
        wait_until(lambda: len(envelopes(tmp_path / "landing")) == 10)
        running.reader.join(20)
        assert not running.reader.is_alive()  # all of them have closed their log


def test_nothing_acknowledged_is_lost_when_it_is_killed_again_and_again(tmp_path):
    """A worker or all processes, at any moment; who comes next finishes what is left."""
    landing = tmp_path / "landing"
    seed = int(os.environ.get("PROPERTY_SEED", "1"))
    chance = random.Random(seed)
    acknowledged: set[int] = set()
    first = 0
    settings = {"receiver_workers": 2, "receiver_segment_bytes": "32KiB"}
    for _ in range(KILLS):
        running = RunningReceiver(landing, **settings)
        load = Load([running.port], clients=6, first=first)
        try:
            enough = chance.randint(1, 300)
            wait_until(lambda load=load, enough=enough: len(load.acknowledged) >= enough)
            if chance.random() < 0.3:
                os.kill(chance.choice(running.children()), signal.SIGKILL)
                before = len(load.acknowledged)
                wait_until(lambda load=load, before=before: len(load.acknowledged) > before + 50)
        finally:
            running.kill()
            load.end()
        acknowledged.update(load.acknowledged)
        first = next(load.numbers) + 1000
    with RunningReceiver(landing):
        assert hidden(landing) == []
    stored = stored_numbers(landing)
    assert acknowledged - set(stored) == set(), f"PROPERTY_SEED={seed}"
    settings = Settings(landing_dir=landing, warehouse_path=tmp_path / "warehouse.duckdb")
    with open_warehouse(settings) as warehouse:
        result = load_landing_dir(warehouse, settings)
    assert result.records == len(stored)
    assert (result.rejected_count, result.waiting) == (0, [])
