"""The command line: the same job that Dagster runs, with progress and a readable end.

python -m orchestration run        land, resolve, check, publish, show
python -m orchestration doctor     tell whether a run would work
python -m orchestration publish    publish what the warehouse holds (--force after a review)
python -m orchestration retry      read the rejected records again, after an upgrade
python -m orchestration docs       the documentation of the tables as one page
python -m orchestration explain ID why this is one customer
python -m orchestration forget ID  erase one customer for good (--yes; without an ID: finish what was begun)
python -m orchestration export ID  all that is known of one customer, as JSON and as a page
python -m orchestration retain     take what people wrote out of landing files and raw when it is old

An ID may also stand in the environment, where no list of processes shows it; so may FULL, FORCE and YES.

Exit code: 0 published (or nothing was new), 3 published but files were left out, 1 not published.
"""

import argparse
import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestration.settings import DATA, REPOSITORY, Settings, UserError
from orchestration.terminal import inert

PUBLISHED, NOT_PUBLISHED, LEFT_OUT = 0, 1, 3
STOP = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. What goes wrong is told in one sentence."""
    parser = argparse.ArgumentParser(prog="orchestration", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser(
        "run", help="land, resolve, check and publish, then show the result"
    )
    running.add_argument("--full-refresh", action="store_true", help="work everything out anew")
    running.add_argument("--force", action="store_true", help="publish although the gate is closed")
    commands.add_parser("doctor", help="tell whether a run would work")
    publishing = commands.add_parser("publish", help="publish what the warehouse holds")
    publishing.add_argument(
        "--force", action="store_true", help="publish although the gate is closed"
    )
    commands.add_parser("retry", help="read the rejected records again")
    commands.add_parser("docs", help="the documentation of the tables as one page")
    explained = commands.add_parser("explain", help="why this is one customer")
    forgetting = commands.add_parser("forget", help="erase one customer for good")
    forgetting.add_argument("--yes", action="store_true", help="erase, do not only tell")
    forgetting.add_argument(
        "--requested-by", default=os.environ.get("REQUESTED_BY", ""), help="who asked for it"
    )
    forgetting.add_argument("--reason", default=os.environ.get("REASON", ""), help="why")
    commands.add_parser(
        "retain", help="take out what people wrote when it is older than RETENTION_DAYS"
    )
    exporting = commands.add_parser("export", help="all that is known of one customer")
    exporting.add_argument(
        "--out", default=os.environ.get("OUT", ""), help="the folder to write to"
    )
    for command in (explained, forgetting, exporting):
        command.add_argument(
            "id",
            nargs="?",
            default=os.environ.get("ID", ""),
            help="phone, BSUID, username, customer key or message id",
        )
    choice = parser.parse_args(arguments)
    stop_at_once()
    try:
        protect(Settings())
        if choice.command == "run":
            return run(forced(Settings(), choice.force), choice.full_refresh or is_on("FULL"))
        if choice.command == "doctor":
            return doctor(Settings())
        if choice.command == "publish":
            return publish_only(forced(Settings.of_readers(), choice.force))
        if choice.command == "retry":
            return retry(Settings())
        if choice.command == "docs":
            return document(Settings.of_readers())
        if choice.command == "forget":
            return forget(Settings(), choice)
        if choice.command == "retain":
            from orchestration.retention import retain

            retain(Settings(), say)
            return 0
        if not choice.id.strip():
            raise UserError(
                f"Say who: make {choice.command} ID=<phone|bsuid|username|customer_key|message id>."
            )
        if choice.command == "export":
            from orchestration.export import export

            say(
                f"Wrote {export(Settings.of_readers(), choice.id, choice.out)} and the page beside it."
            )
            return 0
        from orchestration.explain import explain

        say(explain(Settings.of_readers(), choice.id))
        return 0
    except UserError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'A file'} cannot be used ({error.strerror}): {cure(error)}.")
    except Exception as error:
        trace = log_folder() / "error.log"
        with contextlib.suppress(OSError):
            trace.write_text(traceback.format_exc())
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        complain(f"{text}. What is published stays; {trace} has the details.")
    return NOT_PUBLISHED


def is_on(name: str) -> bool:
    """Whether a variable says yes, as in YES=1. Raises UserError for a word that is neither yes nor no."""
    try:
        return TypeAdapter(bool).validate_python(os.environ.get(name, "").strip() or False)
    except ValidationError as error:
        raise UserError(
            f"{name}={os.environ[name]} is neither yes nor no: write {name}=1, or leave it out."
        ) from error


def forced(settings: Settings, force: bool) -> Settings:
    return settings.model_copy(update={"force": True}) if force else settings


def protect(settings: Settings) -> None:
    """Every file written from now on has the rights that FILE_UMASK leaves."""
    os.umask(int(settings.file_umask, 8))


def cure(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room, then run again"
    return "give yourself access to it, or choose another path"


def say(text: str) -> None:
    """Print, for as long as somebody reads: a closed pipe or a full disk behind it stops no run."""
    try:
        print(inert(text), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"\nError: {inert(text)}", file=sys.stderr, flush=True)


def stop_at_once() -> None:
    """End the process on SIGINT and SIGTERM, wherever it is: a query of DuckDB would hear of it minutes later.

    No file needs to be tidied up: a run may be killed at any moment.
    """
    # the process with which Python guards dbt's semaphores would add two lines about their end
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    # told at once, also while the main thread is in a query, and whatever handlers Dagster puts in the place of these
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    for number in STOP:
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        while os.read(ear, 1)[0] not in STOP:
            pass
        with contextlib.suppress(OSError):
            print(
                "\nStopped: what was published stays, and the next run completes.",
                file=sys.__stderr__,
            )
        os._exit(NOT_PUBLISHED)

    threading.Thread(target=wait, name="stop", daemon=True).start()


# --- Running --------------------------------------------------------------------------------------


class Progress(logging.Handler):
    """A line now and then from all that Dagster logs: what was landed, resolved, published."""

    def __init__(self, terminal) -> None:
        super().__init__(logging.DEBUG)
        self.started = time.monotonic()
        self.terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for stage in ("Waiting for ", "landing: ", "rebuilding: ", "resolving: ", "published: "):
            if stage in text and "\n" not in text:
                self.say(stage + text.rpartition(stage)[2])

    def say(self, text: str) -> None:
        with contextlib.redirect_stdout(self.terminal):
            say(f"{time.monotonic() - self.started:6.1f} s  {text}")


def run(settings: Settings, full_refresh: bool = False) -> int:
    """The main job, then the summary. Does nothing when nothing is new. Raises UserError."""
    from orchestration import preflight, work
    from orchestration.lock import locked

    if problems := preflight.problems(settings):
        raise UserError("\n".join(problems))
    with locked(settings, say):
        if not (full_refresh or settings.force or work.pending(settings)):
            say("Nothing is new since the last run: what is published is current.\n")
        else:
            say(f"Webhooks from {settings.landing_dir}")
            if failed := execute(settings, full_refresh):
                raise UserError(failed)
        show(settings)
        left_out = work.left_out(settings)
    for name, why in list(left_out.items())[:20]:
        say(f"Left out: {name}: {why}.")
    if left_out:
        say(f"{len(left_out)} files could not be taken in; the next run tries them again.")
    return LEFT_OUT if left_out else PUBLISHED


def log_folder() -> Path:
    """DAGSTER_HOME, where what a run says is kept as well."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(DATA / "dagster"))).absolute()
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    """What dbt and Dagster say, a line per model and test, goes to the log and not to the terminal."""
    with path.open("w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


def configure_dagster(home: Path) -> None:
    """Put dagster.yaml into DAGSTER_HOME, unless somebody wrote one of their own."""
    text = (REPOSITORY / "orchestration" / "dagster.yaml").read_text()
    path = home / "dagster.yaml"
    ours = text.partition(",")[0]
    if not path.exists() or path.read_text().startswith(ours):
        path.write_text(text)


def execute(settings: Settings, full_refresh: bool) -> str | None:
    """Run the main job in this process; what went wrong, or None.

    Raises UserError when Dagster cannot write its history.
    """
    home = log_folder()
    configure_dagster(home)
    # a log that finds no room is told of below, in a sentence, and not by each of its writers
    logging.raiseExceptions = False
    progress = Progress(sys.stdout)
    from dagster import DagsterEventType, DagsterInstance, Definitions, logger
    from sqlalchemy.exc import OperationalError

    from orchestration.definitions import defs
    from orchestration.defs.automation import main_job
    from orchestration.defs.publishing import GATE

    @logger
    def console(_) -> logging.Logger:
        """Instead of Dagster's, which prints every event."""
        quiet = logging.Logger("progress", logging.DEBUG)
        quiet.addHandler(progress)
        return quiet

    log = home / "last_run.log"
    try:
        with output_to(log), DagsterInstance.get() as instance:
            definitions = defs()
            job = (
                Definitions.merge(definitions, Definitions(loggers={"console": console}))
                .get_repository_def()
                .get_job(main_job.name)
            )
            progress.say("dbt project and Dagster are ready")
            done = job.execute_in_process(
                instance=instance,
                run_config={
                    "loggers": {"console": {}},
                    "resources": {
                        "run": {"config": {"full_refresh": full_refresh, "force": settings.force}}
                    },
                },
                raise_on_error=False,
            )
    except (OperationalError, OSError) as error:
        raise UserError(
            f"Dagster's history and the log cannot be written in DAGSTER_HOME={home} "
            f"({getattr(error, 'orig', error)}), what is published stays: make room there, or give "
            "yourself access, then run again."
        ) from error
    if done.success:
        return None
    for event in done.all_events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.check_name == GATE:
                return (
                    f"Nothing was published, what is published stays: {check.description}. "
                    "Look at it, then run `make publish FORCE=1`."
                )
    for event in done.all_events:
        if event.event_type == DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            text = error.message.partition(": ")[2] or error.message if error else "see the log"
            text = " ".join(text.partition("\n\nLINE ")[0].split())
            return (
                f"{event.step_key} failed, what is published stays: {text.rstrip('.')}. "
                f"The whole log is {log}."
            )
    return f"The run failed, what is published stays. The whole log is {log}."


def forget(settings: Settings, choice: argparse.Namespace) -> int:
    """Erase one customer for good, or tell what that would erase. Raises UserError."""
    from orchestration.forget import forget

    forget(
        settings,
        choice.id.strip(),
        yes=choice.yes or is_on("YES"),
        requested_by=choice.requested_by,
        reason=choice.reason,
        say=say,
        rebuild=lambda settings: execute(settings, full_refresh=True),
    )
    return 0


def publish_only(settings: Settings) -> int:
    """Publish the warehouse as it is: after a review of what the gate held back. Raises UserError."""
    from orchestration.lock import locked
    from orchestration.publish import publish

    with locked(settings, say):
        publication = publish(settings)
    say(f"Published {publication.path} ({publication.rows['dim_customer']} customers).")
    return PUBLISHED


def doctor(settings: Settings) -> int:
    """Say what would stop a run; 0 if nothing would."""
    from orchestration import preflight, work
    from orchestration.lock import holder

    for name, value in settings:
        if name.endswith(("_dir", "_path")):
            say(f"  {name.upper():15} {value}")
    problems = preflight.problems(settings)
    if who := holder(settings):
        say(f"A run would wait for {who}.")
    for problem in problems:
        say(f"- {problem}")
    if problems:
        return NOT_PUBLISHED
    new = "there is work to do" if work.pending(settings) else "nothing is new since the last one"
    say(f"A run would work; {new}.")
    if left_out := work.left_out(settings):
        name, why = next(iter(left_out.items()))
        say(f"{len(left_out)} files were left out by the last run, such as {name}: {why}.")
    return PUBLISHED


def document(settings: Settings) -> int:
    """dbt's documentation as one page, docs/site/index.html. Raises UserError."""
    from orchestration.lock import locked
    from orchestration.project import TARGET, document

    if not settings.warehouse_path.exists():
        raise UserError(
            f"There is no warehouse at {settings.warehouse_path} yet: run `make run` first."
        )
    with locked(settings, say), output_to(log_folder() / "docs.log"):
        document(settings)
    page = REPOSITORY / "docs" / "site" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(TARGET / "docs" / "static_index.html", page)
    say(str(page))
    return PUBLISHED


def retry(settings: Settings) -> int:
    """Load what can be read by now of the rejected records: after an upgrade. Raises UserError."""
    from orchestration import work
    from orchestration.landing import retry_rejected
    from orchestration.lock import locked
    from orchestration.warehouse import open_warehouse

    with locked(settings, say), open_warehouse(settings) as warehouse:
        result = retry_rejected(warehouse, settings)
        if result.records or result.parts:
            work.forget(settings)
    say(
        f"Loaded {result.records} records and {result.parts} parts of records that were rejected; "
        f"{result.rejected} stay in raw.rejected_record. Next: make run"
    )
    return PUBLISHED


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

    try:
        with open_warehouse(settings, read_only=True) as warehouse:
            files, records, rejected = warehouse.execute(
                "select count(*), sum(record_count), sum(rejected_count) from raw.landing_file"
            ).fetchone()
        say(
            f"\nLanded: {files} files, {records or 0} records, {rejected or 0} rejected (raw.rejected_record)"
        )
    except (UserError, duckdb.Error) as error:
        say(f"\nPublished; what was landed cannot be shown: {error}")
    with duckdb.connect(str(published_path(settings)), read_only=True) as published:
        rows = published.execute
        say("\nCustomers by identity stage:")
        say(
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
        say("\nSome of dim_customer (those with the most to tell):")
        say(
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
        say("\nWaiting for review (marts.identity_review):")
        say(table(["kind", "questions"], waiting) if waiting else "  nothing")
        example = rows(
            "select coalesce(wa_id, current_bsuid) from marts.dim_customer "
            "order by bsuid_count + phone_count desc, customer_key limit 1"
        ).fetchone()
    say(f"\nPublished: {published_path(settings)} and {settings.publish_dir / 'parquet'}")
    if example:
        say(f"Next: make explain ID={example[0]}     make sql     make dev")
