"""dbt: from raw webhooks to customers. Every model is an asset, every data test an asset check."""

import os
from collections.abc import Iterator

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from orchestration.defs.landing import WAREHOUSE_POOL
from orchestration.project import build_arguments, dbt_environment
from orchestration.seeds import stage_seeds
from orchestration.settings import Settings, UserError


class Translator(DagsterDbtTranslator):
    """Groups the models by layer, as their folders do."""

    def get_group_name(self, dbt_resource_props) -> str | None:
        layers = ("staging", "intermediate", "marts")
        layer = dbt_resource_props["fqn"][1] if len(dbt_resource_props["fqn"]) > 1 else None
        return layer if layer in layers else "seeds"


def build_dbt_assets(project: DbtProject) -> dg.AssetsDefinition:
    """The models of a project whose manifest is ready."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=Translator(),
        name="customer_identity",
        pool=WAREHOUSE_POOL,
    )
    def customer_identity(
        context: dg.AssetExecutionContext, dbt: DbtCliResource
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckResult]:
        """One dbt build: models in order, each followed by its tests."""
        try:
            settings = Settings()
            stage_seeds(settings)
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        os.environ.update(dbt_environment(settings))
        yield from dbt.cli(build_arguments(), context=context).stream()

    return customer_identity
