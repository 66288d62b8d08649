"""A receiver as a user starts it, on a port of its own, and requests signed as Meta signs them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import uvicorn

from orchestration.receiver.app import create_app
from tests.build import ROOT

SECRETS = ("first-app-secret", "second-app-secret")
TOKEN = "token-of-the-handshake"


def signature(body: bytes, secret: str = SECRETS[0]) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def webhook(number: int) -> bytes:
    """A webhook with one message, whose id tells it from all others."""
    return json.dumps(
        {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": "102290129340398",
                    "changes": [
                        {
                            "field": "messages",
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {
                                    "display_phone_number": "15550783881",
                                    "phone_number_id": "106540352242922",
                                },
                                "contacts": [
                                    {
                                        "profile": {"name": "Sheena Nelson"},
                                        "wa_id": "16505551234",
                                        "user_id": "US.13491208655302741918",
                                    }
                                ],
                                "messages": [
                                    {
                                        "from": "16505551234",
                                        "from_user_id": "US.13491208655302741918",
                                        "id": f"wamid.{number:08}",
                                        "timestamp": "1790000000",
                                        "type": "text",
                                        "text": {"body": "Does it come in another color?"},
                                    }
                                ],
                            },
                        }
                    ],
                }
            ],
        }
    ).encode()


class Caller:
    """Speaks to a receiver on `port` of this machine."""

    port = 0

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method: str, path: str, body=None, headers=()) -> tuple[int, dict, bytes]:
        """(status, headers, body) over a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, answer.read()
        finally:
            connection.close()

    def post(self, body: bytes, path: str = "/webhook", secret: str = SECRETS[0]) -> int:
        headers = {"X-Hub-Signature-256": signature(body, secret)}
        return self.request("POST", path, body, headers)[0]


class RunningReceiver(Caller):
    """A receiver process that takes webhooks into `landing`; stopped at the end of a `with` block."""

    def __init__(self, landing: Path, prepare=None, **settings: object) -> None:
        landing.mkdir(exist_ok=True)
        self.landing = landing
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.receiver"],
            cwd=ROOT,
            env={
                **os.environ,
                "LANDING_DIR": str(landing),
                "APP_SECRETS": ",".join(SECRETS),
                "VERIFY_TOKEN": TOKEN,
                "RECEIVER_PORT": "0",
                **{name.upper(): str(value) for name, value in settings.items()},
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )
        self.log = ""
        self.port = 0
        self.started = threading.Event()
        self.workers = int(settings.get("receiver_workers", 1))
        self.reader = threading.Thread(target=self._read_log)
        self.reader.start()
        if not self.started.wait(30) or not self.port:
            self.kill()
            raise RuntimeError(f"The receiver did not start: {self.log}")
        wait_until(self.listens)  # a worker does so right after it says that it is started

    def listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _read_log(self) -> None:
        for line in self.process.stderr:
            self.log += line
            if "running on http://" in line:
                self.port = int(line.partition("127.0.0.1:")[2].split()[0])
            if self.log.count("startup complete") == self.workers:
                self.started.set()
        self.started.set()

    def __enter__(self) -> RunningReceiver:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> int:
        """The status it ends with when it is asked to."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.reader.join(10)
        return status

    def kill(self) -> None:
        """As a power cut would, but for the disk's cache: all its processes at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.reader.join(10)

    def children(self) -> list[int]:
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        workers = []
        for child in map(int, task.read_text().split()):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.append(child)
        return workers


class ThreadReceiver(Caller):
    """A receiver in a thread of this process, whose disk can be spoiled; settings from the environment."""

    def __enter__(self) -> ThreadReceiver:
        self.umask = os.umask(0o077)  # the receiver sets it for its whole process
        config = uvicorn.Config(create_app(), port=0, lifespan="on", log_config=None)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        wait_until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        os.umask(self.umask)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)


def wait_until(condition, seconds: float = 20) -> None:
    """Returns when a condition holds; fails when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def envelopes(landing: Path) -> list[dict]:
    """The records of all published segments."""
    return [
        json.loads(line)
        for path in sorted(landing.glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def hidden(landing: Path) -> list[Path]:
    """The segments that the loader does not see."""
    return sorted((landing / ".receiver").glob("*"))
