"""What stands in deploy/: units that systemd accepts, a proxy that keeps its promises, an image whose parts are there."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestration.receiver.settings import ReceiverSettings
from orchestration.settings import Settings
from tests.build import ROOT
from tests.receiving import TOKEN, RunningReceiver, signature, wait_until, webhook

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
HOOKS, DAGSTER, DASHBOARD = (f"{name}.example.com" for name in ("webhooks", "dagster", "customers"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="nginx or openssl is not installed",
)


# --- systemd ----------------------------------------------------------------------------------------------------------


@needs_systemd
def test_systemd_accepts_the_units(tmp_path):
    for unit in UNITS:
        text = unit.read_text().replace("/opt/whatsapp-identity", str(ROOT))
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_have_least_rights(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_set_what_is_a_setting_and_no_secret(unit):
    names = set()
    for line in unit.read_text().splitlines():
        if line.startswith("Environment="):
            names |= set(re.findall(r"(\w+)=", line.removeprefix("Environment=")))
    others = {"HOME", "DAGSTER_HOME", "PYTHONDONTWRITEBYTECODE", "DO_NOT_TRACK"}
    others |= {"DBT_SEND_ANONYMOUS_USAGE_STATS"}
    known = {name.upper() for name in (*Settings.model_fields, *ReceiverSettings.model_fields)}
    assert names - others <= known - {"APP_SECRETS", "VERIFY_TOKEN"}


def test_the_image_has_every_part_of_the_dbt_project_and_what_the_pages_need():
    sources = []
    for line in (DEPLOY / "Containerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            sources += line.split()[1:-1]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    locks = [source for source in sources if source.endswith(".lock")]
    assert [lock for lock in locks if "\nstreamlit==" not in (ROOT / lock).read_text()] == []
    tracked = subprocess.run(
        ["git", "ls-files", "dbt_project"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    assert [path for path in tracked if not path.startswith(tuple(sources))] == []


# --- nginx ------------------------------------------------------------------------------------------------------------


class Stub(BaseHTTPRequestHandler):
    """In place of the Dagster UI: tells what it was asked, and takes websockets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.close_connection = True
            return
        body = json.dumps(headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _complete(answer: bytes) -> bool:
    """Whether nothing more comes, though the connection stays open: a websocket's are kept by nginx."""
    head, end, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    switched = answer.startswith(b"HTTP/1.1 101")
    return bool(end) and (switched or (length is not None and len(content) >= int(length[1])))


class Proxy:
    """nginx with the configuration as it stands, but for ports, certificate and where it logs."""

    def __init__(self, folder: Path, receiver: int, dagster: int, dashboard: int) -> None:
        self.port = free_port()
        self.folder = folder
        certificate, key = folder / "whatsapp-identity.pem", folder / "whatsapp-identity.key"
        names = ",".join(f"DNS:{name}" for name in (HOOKS, DAGSTER, DASHBOARD))
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=test"]
        subprocess.run(
            [*command, "-addext", f"subjectAltName={names}"], check=True, capture_output=True
        )
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", "password"], check=True, capture_output=True, text=True
        )
        (folder / "whatsapp-identity.htpasswd").write_text(f"user:{hashed.stdout}")
        text = (DEPLOY / "nginx" / "whatsapp-identity.conf").read_text()
        for given, here in {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "127.0.0.1:8080": f"127.0.0.1:{receiver}",
            "127.0.0.1:3000": f"127.0.0.1:{dagster}",
            "127.0.0.1:8501": f"127.0.0.1:{dashboard}",
            "/etc/nginx/tls/": f"{folder}/",
            "/etc/nginx/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/",
        }.items():
            assert given in text
            text = text.replace(given, here)
        (folder / "site.conf").write_text(text)
        folders = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; {user} pid {folder}/pid; error_log {folder}/main.log; worker_processes 1;"
            f"events {{}} http {{ {folders} include {folder}/site.conf; }}"
        )
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "[warn]" not in checked.stderr, checked.stderr
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.context = ssl.create_default_context(cafile=str(certificate))
        wait_until(lambda: listens(self.port))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def request(self, host: str, method: str, path: str, body: bytes = b"", **headers: str):
        """(status, headers, body); header names with underscores for hyphens."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Connection", "close")
        lines += [f"{name}: {value}" for name, value in named.items()]
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        with self.context.wrap_socket(plain, server_hostname=host) as client:
            client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            with contextlib.suppress(OSError):  # refused before all of it was sent
                client.sendall(body)
            answer = b""
            with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):
                while not _complete(answer) and (block := client.recv(65_536)):
                    answer += block
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        pairs = (field.split(": ", 1) for field in fields)
        return int(status.split()[1]), {name.lower(): value for name, value in pairs}, content

    def logged(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


AUTHORISED = {"Authorization": "Basic " + base64.b64encode(b"user:password").decode()}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": base64.b64encode(bytes(16)).decode(),
}


@pytest.fixture(scope="module")
def stub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    with RunningReceiver(tmp_path_factory.mktemp("receiver") / "landing") as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """The pages, with nothing published, known under their outside name."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)],
        cwd=ROOT,
        env={
            **os.environ,
            "PUBLISH_DIR": str(tmp_path_factory.mktemp("published")),
            "STREAMLIT_BROWSER_SERVER_ADDRESS": DASHBOARD,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: listens(port), 40)
    yield port
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, receiver, stub, dashboard):
    running = Proxy(tmp_path_factory.mktemp("nginx"), receiver.port, stub, dashboard)
    yield running
    running.stop()


@needs_nginx
def test_webhooks_pass_the_proxy(proxy, receiver):
    query = f"hub.mode=subscribe&hub.challenge=4711&hub.verify_token={TOKEN}"
    assert proxy.request(HOOKS, "GET", f"/webhook?{query}")[::2] == (200, b"4711")
    body = webhook(1)
    signed = {"X_Hub_Signature_256": signature(body)}
    status, headers, _ = proxy.request(HOOKS, "POST", "/webhook/shop?x=1", body, **signed)
    assert status == 200
    assert "max-age" in headers["strict-transport-security"]
    largest = b" " * (3 << 20)
    signed = {"X_Hub_Signature_256": signature(largest)}
    assert proxy.request(HOOKS, "POST", "/webhook", largest, **signed)[0] == 200
    signed = {"X_Hub_Signature_256": signature(largest + b" ")}
    assert proxy.request(HOOKS, "POST", "/webhook", largest + b" ", **signed)[0] == 413
    assert proxy.request(HOOKS, "POST", "/webhook", body, X_Hub_Signature_256="sha256=0")[0] == 403
    wait_until(lambda: receiver.log.count("webhook 200") == 2)


@needs_nginx
@pytest.mark.parametrize(
    "path", ["/metrics", "/ready", "/health", "/", "/webhooks", "/webhook/../metrics"]
)
def test_nothing_but_webhooks_is_reachable_from_outside(proxy, path):
    assert proxy.request(HOOKS, "GET", path)[0] == 404


@needs_nginx
def test_logs_hold_no_query_even_when_the_receiver_is_away(tmp_path, proxy, stub):
    proxy.request(HOOKS, "GET", "/webhook?hub.verify_token=a-token-in-the-log")
    wait_until(lambda: "GET /webhook 403" in proxy.logged())
    assert "a-token" not in proxy.logged()
    away = Proxy(tmp_path, free_port(), stub, stub)
    try:
        assert away.request(HOOKS, "GET", "/webhook?hub.verify_token=a-token-in-the-log")[0] == 502
        wait_until(lambda: "GET /webhook 502" in away.logged())
    finally:
        away.stop()
    assert "a-token" not in away.logged()


@needs_nginx
@pytest.mark.parametrize("host", [DAGSTER, DASHBOARD])
def test_pages_ask_who_it_is_and_are_framed_by_nobody(proxy, host):
    assert proxy.request(host, "GET", "/")[0] == 401
    status, headers, _ = proxy.request(host, "GET", "/", **AUTHORISED)
    assert status == 200
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "max-age" in headers["strict-transport-security"]
    assert "server" not in headers or not re.search(r"\d", headers["server"])


@needs_nginx
def test_the_dashboard_has_a_policy_and_dagster_keeps_its_own(proxy):
    _, headers, page = proxy.request(DASHBOARD, "GET", "/", **AUTHORISED)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"<title>Streamlit</title>" in page
    _, headers, seen = proxy.request(DAGSTER, "GET", "/", **AUTHORISED)
    assert "content-security-policy" not in headers
    assert "authorization" not in json.loads(seen)  # the password stays with the proxy


@needs_nginx
def test_websockets_pass_the_proxy(proxy):
    assert proxy.request(DAGSTER, "GET", "/graphql", **AUTHORISED, **UPGRADE)[0] == 101
    streamlit = {**UPGRADE, "Origin": f"https://{DASHBOARD}"}
    assert proxy.request(DASHBOARD, "GET", "/_stcore/stream", **AUTHORISED, **streamlit)[0] == 101
    assert proxy.request(DASHBOARD, "GET", "/_stcore/stream", **streamlit)[0] == 401
    elsewhere = {**UPGRADE, "Origin": "https://attacker.example"}
    assert proxy.request(DASHBOARD, "GET", "/_stcore/stream", **AUTHORISED, **elsewhere)[0] == 403
