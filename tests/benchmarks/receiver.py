"""How fast the receiver is, beside the web server alone: python -m tests.benchmarks.receiver

A load generator on loopback sends signed webhooks over kept connections, each the next one when the former is answered.
The same requests go, with the same number of workers, to

- nothing: a Starlette endpoint that reads the body and answers 200
- append: one that checks the signature and appends the body to a file of its worker, without fsync
- receiver: `make receive`

then once more to the receiver from as many connections as may be open, all at once. The generator is one process and
shares the processors with what it measures: these are the figures of a machine that does both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROOT = Path(__file__).parents[2]
SECRET = "benchmark-secret"


# --- What is measured -------------------------------------------------------------------------------------------------


async def _nothing(request: Request) -> Response:
    await request.body()
    return Response()


async def _append(request: Request) -> Response:
    body = await request.body()
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers["x-hub-signature-256"]):
        return Response(status_code=403)
    with (Path(os.environ["LANDING_DIR"]) / f"{os.getpid()}.jsonl").open("ab", 0) as file:
        file.write(body + b"\n")
    return Response()


nothing = Starlette(routes=[Route("/webhook", _nothing, methods=["POST"])])
append = Starlette(routes=[Route("/webhook", _append, methods=["POST"])])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def serving(what: str, workers: int, landing: Path) -> Iterator[tuple[int, subprocess.Popen]]:
    """(port, process) of a server that listens; it is stopped at the end."""
    port = free_port()
    environment = {
        **os.environ,
        "LANDING_DIR": str(landing),
        "APP_SECRETS": SECRET,
        "VERIFY_TOKEN": "benchmark-token",
        "RECEIVER_PORT": str(port),
        "RECEIVER_WORKERS": str(workers),
    }
    module = f"tests.benchmarks.receiver:{what}"
    command = ["-m", "uvicorn", module, "--port", str(port), "--no-access-log"]
    command += ["--workers", str(workers), "--log-level", "error"]
    if what == "receiver":
        command = ["-m", "orchestration.receiver"]
    with (landing / f".{what}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        time.sleep(1 + workers / 2)  # the port listens before all workers have started
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


# --- Load -------------------------------------------------------------------------------------------------------------


def requests(count: int) -> list[bytes]:
    """Signed requests with bodies of a usual size, 1.1 kB, each with a message id of its own."""
    made = []
    for number in range(count):
        message = {
            "from": "15550001234",
            "id": f"wamid.{number:024}",
            "timestamp": "1790000000",
            "type": "text",
            "text": {"body": "Where is my order? " * 30},
        }
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550009999", "phone_number_id": "1"},
            "contacts": [{"profile": {"name": "Ana"}, "user_id": "US.1", "wa_id": "15550001234"}],
            "messages": [message],
        }
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        head = (
            "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Client(asyncio.Protocol):
    """One connection: sends the next request when the former is answered."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        # An answer is a few hundred bytes: it comes in one piece.
        now = time.perf_counter()
        self.load.answers[data[9:12].decode()] += 1
        self.load.latencies.append(now - self.sent_at)
        if now < self.load.until:
            self.send()
        else:
            self.end()

    def end(self) -> None:
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.open -= 1
        if self.load.open == 0:
            self.load.ended.set()


class Load:
    """Requests from many connections for some seconds (0: one request each)."""

    def __init__(self, made: list[bytes]) -> None:
        self.made = made
        self.place = 0
        self.answers: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.ended = asyncio.Event()

    def next(self) -> bytes:
        self.place += 1
        return self.made[self.place % len(self.made)]

    async def run(self, port: int, connections: int, seconds: float) -> float:
        """Seconds it took."""
        loop = asyncio.get_running_loop()
        self.open = connections
        clients = []
        for _ in range(connections):
            _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", port)
            clients.append(client)
        started = time.perf_counter()
        self.until = started + seconds
        for client in clients:
            client.send()
        await asyncio.wait_for(self.ended.wait(), seconds + 60)
        return time.perf_counter() - started


def load(made: list[bytes], port: int, connections: int, seconds: float) -> tuple[Load, float]:
    async def go() -> tuple[Load, float]:
        load = Load(made)
        return load, await load.run(port, connections, seconds)

    import uvloop

    return uvloop.run(go())


# --- Figures ----------------------------------------------------------------------------------------------------------


def syncs_per_second(folder: Path) -> float:
    """How often a second this disk makes an appended kilobyte durable, one after the other."""
    with (folder / ".syncs").open("ab", 0) as file:
        started = time.perf_counter()
        count = 0
        while time.perf_counter() - started < 1:
            file.write(bytes(1024))
            os.fdatasync(file.fileno())
            count += 1
    return count


def memory(process: subprocess.Popen) -> int:
    """The most memory that any process below this one had at a time, MB."""
    task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    peaks = []
    for child in task.read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) // 1000)
    return max(peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--crowd", type=int, default=10_000, help="connections at once")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    choice = parser.parse_args()
    made = requests(2000)
    with tempfile.TemporaryDirectory(dir=choice.folder) as name:
        folder = Path(name)
        print(f"{os.cpu_count()} processors; {syncs_per_second(folder):.0f} fdatasync a second")
        print(
            "\n| endpoint | workers | bodies per second | p50 ms | p99 ms |\n|---|---|---|---|---|"
        )
        for what in ("nothing", "append", "receiver"):
            for workers in choice.workers:
                with serving(what, workers, folder) as (port, _):
                    load(made, port, choice.connections, choice.seconds / 4)  # warms it
                    done, seconds = load(made, port, choice.connections, choice.seconds)
                if set(done.answers) != {"200"}:
                    raise SystemExit(f"{what} answered {dict(done.answers)}")
                cuts = statistics.quantiles(done.latencies, n=100)
                print(
                    f"| {what} | {workers} | {done.answers['200'] / seconds:.0f} |"
                    f" {cuts[49] * 1000:.1f} | {cuts[98] * 1000:.1f} |",
                    flush=True,
                )
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        crowd = min(choice.crowd, most - 200)
        with serving("receiver", 1, folder) as (port, process):
            before = memory(process)
            done, seconds = load(made, port, crowd, 0)
            print(
                f"\n{crowd} connections at once, one worker: {dict(done.answers)} in {seconds:.1f} s,"
                f" slowest {max(done.latencies):.1f} s; memory {before} MB, then {memory(process)} MB"
            )


if __name__ == "__main__":
    main()
