"""The receiver's processes: one that watches, and RECEIVER_WORKERS that serve one port."""

import os
import sys
import tempfile

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from orchestration.receiver.protocol import BoundedProtocol
from orchestration.receiver.settings import ReceiverSettings
from orchestration.settings import UserError

# Webhooks that were begun may end before a worker stops.
SHUTDOWN_SECONDS = 20

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 when everything that was acknowledged is published."""
    try:
        settings = ReceiverSettings()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    config = uvicorn.Config(
        "orchestration.receiver.app:create_app",
        factory=True,
        host=settings.receiver_host,
        port=settings.receiver_port,
        workers=settings.receiver_workers,
        http=BoundedProtocol,
        lifespan="on",
        ws="none",
        access_log=False,  # it writes queries: app.Log does not
        log_config=LOGGING,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than a proxy keeps its connections
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    # On a full disk, writing to a mapped file kills: the metrics are kept in memory.
    memory = os.environ.get("RUNTIME_DIRECTORY") or (
        "/dev/shm" if os.path.isdir("/dev/shm") else None
    )
    with tempfile.TemporaryDirectory(prefix="receiver-metrics-", dir=memory) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        supervisor = Multiprocess(config, [config.bind_socket()])
        supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
