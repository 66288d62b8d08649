"""When it runs: on new webhooks, and every hour whatever happens."""

import hashlib

import dagster as dg

from orchestration.landing.files import list_files
from orchestration.settings import Settings

main_job = dg.define_asset_job(
    "main",
    selection=dg.AssetSelection.all(),
    description="Webhooks in, customers out: land, resolve, check, publish.",
    executor_def=dg.in_process_executor,
)


def landing_state(settings: Settings) -> str:
    """A digest of name, size and time of every landing file: it changes when there is work."""
    digest = hashlib.sha256()
    for file in list_files(settings.landing_dir).files:
        digest.update(repr(file).encode())
    return digest.hexdigest()


@dg.sensor(job=main_job, minimum_interval_seconds=60)
def new_webhooks(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Starts the main job when a landing file is new or has grown."""
    state = landing_state(Settings())
    if state == context.cursor:
        return dg.SkipReason("No landing file is new or has grown.")
    context.update_cursor(state)
    return dg.RunRequest(run_key=state)


hourly = dg.ScheduleDefinition(name="hourly", job=main_job, cron_schedule="5 * * * *")
