"""Everything Dagster knows of this project; each topic is in `orchestration/defs`."""

import dagster as dg
from dagster_dbt import DbtCliResource

from orchestration.defs import automation, landing, publishing, transform
from orchestration.project import DBT, FOLDER, dbt_project


@dg.definitions
def defs() -> dg.Definitions:
    project = dbt_project()
    models = transform.build_dbt_assets(project)
    marts = [key for key in models.keys if key.path[0] == "marts"]
    return dg.Definitions(
        assets=[
            landing.webhook,
            landing.published_key,
            models,
            publishing.build_published_customers(marts),
        ],
        asset_checks=[landing.every_line_is_loaded_or_rejected, publishing.publish_gate],
        jobs=[automation.main_job],
        sensors=[automation.new_webhooks],
        schedules=[automation.hourly],
        resources={
            "dbt": DbtCliResource(
                project_dir=project, profiles_dir=str(FOLDER), dbt_executable=str(DBT)
            )
        },
        executor=dg.in_process_executor,
    )
