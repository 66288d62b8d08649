"""The command line: the same job that Dagster runs, with progress and a readable end.

python -m orchestration run        land, resolve, check, publish, show
python -m orchestration publish    publish what the warehouse holds (FORCE=1 after a review)
python -m orchestration retry      read the rejected records again, after an upgrade
python -m orchestration explain ID why this is one customer
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from pathlib import Path

from orchestration.landing.files import list_files
from orchestration.settings import REPOSITORY, Settings, UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what it says. Errors a user can put right are one sentence."""
    parser = argparse.ArgumentParser(prog="orchestration", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="land, resolve, check and publish, then show the result")
    commands.add_parser("publish", help="publish what the warehouse holds")
    commands.add_parser("retry", help="read the rejected records again")
    explained = commands.add_parser("explain", help="why this is one customer")
    explained.add_argument("id", help="phone, BSUID, username, customer key or message id")
    choice = parser.parse_args(arguments)
    try:
        settings = Settings()
        if choice.command == "run":
            return run(settings)
        if choice.command == "publish":
            return publish_only(settings)
        if choice.command == "retry":
            return retry(settings)
        from orchestration.explain import explain

        print(explain(settings, choice.id))
        return 0
    except UserError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; what was published stays as it was.", file=sys.stderr)
        return 130


# --- Running --------------------------------------------------------------------------------------


def work_state(settings: Settings) -> str:
    """A digest of all that a run depends on: landing files, seeds, sources and settings."""
    digest = hashlib.sha256()
    for file in list_files(settings.landing_dir).files:
        digest.update(repr(file).encode())
    sources = [*settings.seeds_dir.glob("*.csv")]
    for folder in (
        "dbt_project/models",
        "dbt_project/macros",
        "dbt_project/plugins",
        "orchestration",
    ):
        sources += (REPOSITORY / folder).rglob("*.*")
    for path in sorted(path for path in sources if "__pycache__" not in path.parts):
        digest.update(f"{path}{path.stat().st_mtime_ns}".encode())
    digest.update((REPOSITORY / "dbt_project" / "dbt_project.yml").read_bytes())
    digest.update(settings.model_dump_json(exclude={"force", "show_pii"}).encode())
    return digest.hexdigest()


def state_path(settings: Settings) -> Path:
    """Where the state of the last published run is kept: beside what was published."""
    return settings.publish_dir / ".last_run.json"


def is_up_to_date(settings: Settings, state: str) -> bool:
    from orchestration.versions import published_path

    path = state_path(settings)
    if not (
        path.exists() and settings.warehouse_path.exists() and published_path(settings).exists()
    ):
        return False
    try:
        return json.loads(path.read_text()).get("state") == state
    except ValueError:  # a kill in the middle of writing it
        return False


class Progress(logging.Handler):
    """A line now and then from all that Dagster logs: what was landed, built, checked, published."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.started = self.said = time.monotonic()
        self.built = self.checked = 0
        self.terminal = sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for stage in ("landing: ", "published: "):
            if stage in text and "\n" not in text:
                self.say(stage + text.rpartition(stage)[2])
        self.built += "ASSET_MATERIALIZATION - " in text
        self.checked += "ASSET_CHECK_EVALUATION - " in text
        if time.monotonic() - self.said > 2:
            self.say(f"resolving: {self.built} tables built, {self.checked} checks made")

    def say(self, text: str) -> None:
        self.said = time.monotonic()
        print(f"{self.said - self.started:6.1f} s  {text}", file=self.terminal, flush=True)


def run(settings: Settings) -> int:
    """The main job, then the summary. Does nothing when nothing is new."""
    if not settings.landing_dir.is_dir():
        raise UserError(
            f"LANDING_DIR={settings.landing_dir} does not exist: create it, or point LANDING_DIR at "
            "the folder with your webhooks."
        )
    state = work_state(settings)
    if is_up_to_date(settings, state):
        print("Nothing is new since the last run: what is published is current.\n")
        show(settings)
        return 0
    print(f"Webhooks from {settings.landing_dir}", flush=True)
    failed = execute(settings)
    if failed:
        raise UserError(failed)
    state_path(settings).write_text(json.dumps({"state": state}))
    show(settings)
    return 0


def execute(settings: Settings) -> str | None:
    """Run the main job in this process; what went wrong, or None."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(REPOSITORY / "data" / "dagster")))
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text((REPOSITORY / "orchestration" / "dagster.yaml").read_text())
    progress = Progress()
    from dagster import DagsterEventType, DagsterInstance, Definitions, logger

    from orchestration.definitions import defs
    from orchestration.defs.automation import main_job

    @logger
    def console(_) -> logging.Logger:
        """Instead of Dagster's, which prints every event."""
        quiet = logging.Logger("progress", logging.DEBUG)
        quiet.addHandler(progress)
        return quiet

    definitions = Definitions.merge(defs(), Definitions(loggers={"console": console}))
    repository = definitions.get_repository_def()
    log = home / "last_run.log"
    # dbt says a line per model and test: to the log, not to the terminal
    with DagsterInstance.get() as instance, log.open("w") as out, contextlib.redirect_stdout(out):
        progress.say("dbt project and Dagster are ready")
        done = repository.get_job(main_job.name).execute_in_process(
            instance=instance, run_config={"loggers": {"console": {}}}, raise_on_error=False
        )
    if done.success:
        return None
    for event in done.all_events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.check_name == "publish_gate":
                return (
                    f"Nothing was published, what is published stays: {check.description}. "
                    "Look at it, then run `make publish FORCE=1`."
                )
    for event in done.all_events:
        if event.event_type == DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            text = error.message.strip() if error else "see the log"
            return (
                f"{event.step_key} failed, what is published stays: {text.split(': ', 1)[-1]}\n"
                f"The whole log: {log}"
            )
    return f"The run failed, what is published stays. The whole log: {log}"


def publish_only(settings: Settings) -> int:
    """Publish the warehouse as it is: after a review of what the gate held back."""
    from orchestration.publish import publish

    publication = publish(settings)
    print(f"Published {publication.path} ({publication.rows['dim_customer']} customers).")
    return 0


def retry(settings: Settings) -> int:
    """Load what can be read by now of the rejected records: after an upgrade."""
    from orchestration.landing import retry_rejected
    from orchestration.warehouse import open_warehouse

    with open_warehouse(settings) as warehouse:
        result = retry_rejected(warehouse, settings)
    if result.records or result.parts:
        state_path(settings).unlink(missing_ok=True)
    print(
        f"Loaded {result.records} records and {result.parts} parts of records that were rejected; "
        f"{result.rejected} stay in raw.rejected_record. Next: make run"
    )
    return 0


# --- Showing --------------------------------------------------------------------------------------


def table(header: list[str], rows: list[tuple]) -> str:
    """Columns as wide as their widest value."""
    text = [header, *([("" if value is None else str(value)) for value in row] for row in rows)]
    widths = [max(len(line[place]) for line in text) for place in range(len(header))]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True))
        for line in text
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join("  " + line.rstrip() for line in lines)


def show(settings: Settings) -> None:
    """The end of a run: what came in, who the customers are, what waits, where to look."""
    import duckdb

    from orchestration.versions import published_path
    from orchestration.warehouse import open_warehouse

    with open_warehouse(settings, read_only=True) as warehouse:
        files, records, rejected = warehouse.execute(
            "select count(*), sum(record_count), sum(rejected_count) from raw.landing_file"
        ).fetchone()
    print(
        f"\nLanded: {files} files, {records or 0} records, {rejected or 0} rejected (raw.rejected_record)"
    )
    with duckdb.connect(str(published_path(settings)), read_only=True) as published:
        rows = published.execute
        print("\nCustomers by identity stage:")
        print(
            table(
                ["identity_stage", "customers", "messages"],
                rows(
                    """
                    select identity_stage, count(*), sum(inbound_message_count + outbound_message_count)
                    from marts.dim_customer group by all order by 2 desc
                    """
                ).fetchall(),
            )
        )
        columns = [
            "profile_name",
            "current_bsuid",
            "wa_id",
            "username",
            "identity_stage",
            "phone_status",
        ]
        print("\nSome of dim_customer (those with the most to tell):")
        print(
            table(
                [*columns, "bsuids", "phones"],
                rows(
                    f"""
                    select {", ".join(columns)}, bsuid_count, phone_count from marts.dim_customer
                    order by bsuid_count + phone_count desc, customer_key limit 6
                    """
                ).fetchall(),
            )
        )
        waiting = rows(
            "select kind, count(*) from marts.identity_review group by all order by 2 desc, 1"
        ).fetchall()
        print("\nWaiting for review (marts.identity_review):")
        print(table(["kind", "questions"], waiting) if waiting else "  nothing")
        example = rows(
            "select coalesce(wa_id, current_bsuid) from marts.dim_customer "
            "order by bsuid_count + phone_count desc, customer_key limit 1"
        ).fetchone()
    print(f"\nPublished: {published_path(settings)} and {settings.publish_dir / 'parquet'}")
    if example:
        print(f"Next: make explain ID={example[0]}     make sql     make dev")
