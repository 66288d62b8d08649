"""What all steps of one run share: how it was asked to go, the locks that it holds, and what is kept of it."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from pydantic import Field

from orchestration.lock import locked
from orchestration.settings import Settings

OWNERS = ["team:data-engineering"]
PROCESS = "identity/pid"
RUNS_KEPT = 20
# Between its start and its first step a run has no process on record.
STARTING_SECONDS = 300


class Run(dg.ConfigurableResource):
    """Run config of every asset: `{resources: {run: {config: {full_refresh: true}}}}`."""

    full_refresh: bool = Field(False, description="Work everything out anew instead of adding.")
    force: bool = Field(False, description="Publish although the publish gate (R12) is closed.")
    every_check: bool = Field(
        False, description="Check what lies below the marts, also when adding."
    )

    def settings(self) -> Settings:
        """The settings of the environment, with this run's `force`. Raises UserError."""
        settings = Settings()
        return settings.model_copy(update={"force": settings.force or self.force})

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Run"]:
        """Hold the locks from before the first step until after the last one."""
        os.umask(int(Settings().file_umask, 8))
        context.instance.add_run_tags(context.run.run_id, {PROCESS: str(os.getpid())})
        with locked(Settings(), context.log.info):
            end_dead_runs(context.instance, context.run.run_id)
            forget_old_runs(context.instance)
            yield self


def end_dead_runs(instance: DagsterInstance, alive: str | None = None) -> None:
    """Mark runs whose process was killed as failed: Dagster itself would show them as running for ever.

    `alive` is the id of the run that asks.
    """
    active = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    for record in instance.get_run_records(RunsFilter(statuses=active)):
        run = record.dagster_run
        if run.run_id != alive and not _lives(run, record.update_timestamp.timestamp()):
            instance.report_run_failed(run, "Its process ended before it did: it was killed.")


def _lives(run: DagsterRun, updated_at: float) -> bool:
    process = run.tags.get(PROCESS)
    if process is None:
        return time.time() - updated_at < STARTING_SECONDS
    if int(process) == os.getpid():  # this process has one run at a time, and it is another one
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return False
    return True


def forget_old_runs(instance: DagsterInstance) -> None:
    """Keep what Dagster stores of the last runs: it grows by 5 MB with each."""
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    for record in instance.get_run_records(RunsFilter(statuses=ended))[RUNS_KEPT:]:
        run_id = record.dagster_run.run_id
        instance.delete_run(run_id)
        for path in (
            Path(instance.storage_directory()) / run_id,
            Path(instance.root_directory) / "history" / "runs" / f"{run_id}.db",
        ):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(
                missing_ok=True
            )
