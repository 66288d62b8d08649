"""Everything Dagster knows of this project; each topic is in `orchestration/defs`."""

import dagster as dg

from orchestration.defs import automation, landing, publishing, transform
from orchestration.defs.run import Run
from orchestration.history import wait_less


@dg.definitions
def defs() -> dg.Definitions:
    wait_less()
    models = transform.build_dbt_assets()
    marts = [key for key in models.keys if key.path[0] == "marts"]
    return dg.Definitions(
        assets=[
            landing.webhook,
            landing.published_key,
            models,
            publishing.build_published_customers(marts),
        ],
        asset_checks=[
            landing.every_line_is_loaded_or_rejected,
            landing.newest_receipt_is_recent,
        ],
        jobs=[automation.main_job],
        sensors=[automation.new_webhooks, automation.failed_run],
        schedules=[automation.hourly, automation.nightly],
        resources={"run": Run.configure_at_launch()},
        executor=dg.in_process_executor,
    )
