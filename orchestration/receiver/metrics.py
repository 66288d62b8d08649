"""What the receiver tells Prometheus; all workers of one `make receive` are told of together."""

import os
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("receiver_requests", "Requests answered", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "receiver_request_seconds", "From the head of a webhook to its answer", buckets=SECONDS
)
BODY_BYTES = Counter("receiver_body_bytes", "Bytes of bodies that were acknowledged")
RECORDS = Counter("receiver_records", "Records made durable")
COMMIT_SECONDS = Histogram(
    "receiver_commit_seconds", "Writing and syncing what waited together", buckets=SECONDS
)
WRITE_ERRORS = Counter("receiver_write_errors", "Commits that failed: a full or broken disk")
SEGMENTS = Counter("receiver_segments", "Segments shown to the loader", ["how"])
QUEUE_REQUESTS = Gauge(
    "receiver_queue_requests", "Webhooks being read or written", multiprocess_mode="livesum"
)
QUEUE_BYTES = Gauge("receiver_queue_bytes", "Their bytes", multiprocess_mode="livesum")
LAST_RECORD = Gauge(
    "receiver_last_record_timestamp_seconds",
    "When a record was last made durable",
    multiprocess_mode="mostrecent",
)


def forget_dead_workers() -> None:
    """What a killed worker had in its queue is gone with it."""
    for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*.db"):
        process = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{process}").exists():
            multiprocess.mark_process_dead(process)


def exposition() -> bytes:
    """The metrics of all workers in Prometheus' text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
