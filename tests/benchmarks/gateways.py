"""What the envelopes of gateways cost to land, beside the plain path: python -m tests.benchmarks.gateways

The same simulated webhooks, as the receiver keeps them and in the envelopes that hold the body as text or base64. CPU seconds
of landing, the least of three; compare figures of one table only.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from orchestration.landing.load import load_landing_dir
from orchestration.settings import Settings
from orchestration.warehouse import open_warehouse
from tests.build import ROOT

EVENTS = 200_000


def milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


ENVELOPES: dict[str, Callable[[str, str], dict]] = {
    "plain": lambda body, at: {"received_at": at, "body": json.loads(body)},
    "SQS": lambda body, at: {
        "MessageId": "m",
        "Body": body,
        "Attributes": {"SentTimestamp": str(milliseconds(at))},
    },
    "API Gateway, base64": lambda body, at: {
        "body": base64.b64encode(body.encode()).decode(),
        "isBase64Encoded": True,
        "requestContext": {"requestTimeEpoch": milliseconds(at)},
    },
    "Kafka Connect": lambda body, at: {"payload": json.loads(body), "timestamp": milliseconds(at)},
    "Airbyte": lambda body, at: {"_airbyte_extracted_at": at, "_airbyte_data": {"payload": body}},
}


def webhooks(folder: Path) -> list[tuple[str, str]]:
    """Bodies as Meta sends them, with the time of receipt."""
    command = [sys.executable, "-m", "tests.simulator", "--profile", "base", "--seed", "11"]
    command += ["--events", str(EVENTS), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = []
    for file in sorted((folder / "landing").rglob("*.jsonl")):
        for line in file.read_text().splitlines():
            try:
                record = json.loads(line)
                found.append(
                    (json.dumps(record["body"], separators=(",", ":")), record["received_at"])
                )
            except (ValueError, KeyError, TypeError):
                continue  # what the simulator breaks on purpose
    return found


def landing(folder: Path, lines: list[str]) -> float:
    """CPU seconds of landing these lines, the least of three."""
    (folder / "landing").mkdir(parents=True)
    (folder / "landing" / "webhooks.jsonl").write_text("\n".join(lines) + "\n")
    seconds = []
    for number in range(3):
        settings = Settings(
            landing_dir=folder / "landing", warehouse_path=folder / f"{number}.duckdb"
        )
        with open_warehouse(settings) as connection:
            started = time.process_time()
            result = load_landing_dir(connection, settings)
            seconds.append(time.process_time() - started)
        assert result.records > 0.99 * len(lines), result.sentences()
    return min(seconds)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bodies = webhooks(Path(folder) / "simulated")
        plain = None
        for number, (name, envelope) in enumerate(ENVELOPES.items()):
            lines = [json.dumps(envelope(body, at), separators=(",", ":")) for body, at in bodies]
            seconds = landing(Path(folder) / str(number), lines)
            plain = plain or seconds
            print(f"{name:24}{seconds:8.2f} s{seconds / plain:8.2f} times", flush=True)


if __name__ == "__main__":
    main()
