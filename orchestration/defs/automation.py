"""When it runs: on new webhooks, every hour if there is work, every night, and what happens when it fails."""

import dagster as dg

from orchestration import work
from orchestration.defs.run import end_dead_runs
from orchestration.lock import holder
from orchestration.notify import notify
from orchestration.settings import Settings, UserError

main_job = dg.define_asset_job(
    "main",
    selection=dg.AssetSelection.all(),
    description="Webhooks in, customers out: land, resolve, check, publish.",
    executor_def=dg.in_process_executor,
)


def work_to_do(context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext) -> str:
    """The key of a run, if there is work and nobody is at it. Raises UserError saying why there is none."""
    settings = Settings()
    end_dead_runs(context.instance)
    if who := holder(settings):
        raise UserError(f"A run is under way: {who}.")
    state = work.pending(settings)
    if state is None:
        raise UserError("Nothing is new since the last run that published.")
    return state


@dg.sensor(
    job=main_job,
    minimum_interval_seconds=60,
    description="Starts the main job when landing files, reference data, models or settings changed "
    "since the last run that published. A run that failed is not started again by the same files.",
)
def new_webhooks(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks the same as `make run` does before it starts."""
    try:
        return dg.RunRequest(run_key=work_to_do(context))
    except UserError as reason:
        return dg.SkipReason(str(reason))


@dg.schedule(
    job=main_job,
    cron_schedule="5 * * * *",
    description="Starts the main job every hour if there is work, also work at which the last run failed.",
)
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """As the sensor, but tries again what failed."""
    try:
        work_to_do(context)
        return dg.RunRequest()
    except UserError as reason:
        return dg.SkipReason(str(reason))


@dg.schedule(
    job=main_job,
    cron_schedule="20 3 * * *",
    description="Every night: the main job with every check, also of what lies below the marts.",
)
def nightly() -> dg.RunRequest:
    """A run that adds checks the marts; this one checks what they rest on as well."""
    return dg.RunRequest(run_config={"resources": {"run": {"config": {"every_check": True}}}})


@dg.run_failure_sensor(
    monitored_jobs=[main_job],
    description="Tells of a failed run: in the log, and by NOTIFY_SLACK_URL and NOTIFY_EMAIL if they are set.",
)
def failed_run(context: dg.RunFailureSensorContext) -> None:
    """The ways to tell are in orchestration/notify.py."""
    text = f"The run {context.dagster_run.run_id} failed: {context.failure_event.message}"
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        text += f"\n{event.step_key}: {(error.cause or error).message.strip()}"
    context.log.error(text)
    for problem in notify(Settings(), text):
        context.log.error(problem)
