"""dbt: from raw webhooks to customers. Every model is an asset, every data test an asset check."""

import itertools
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from dbt_common.events.functions import msg_to_dict

from orchestration import mode, project, work
from orchestration.defs.run import OWNERS, Run
from orchestration.seeds import read_seeds
from orchestration.settings import Settings, UserError

RESULTS = ("LogSeedResult", "LogModelResult", "LogTestResult")
SAID_SECONDS = 2  # between two lines about how far it is


class Translator(DagsterDbtTranslator):
    """Groups the models as their folders do; every asset has the same owners."""

    def get_group_name(self, dbt_resource_props) -> str:
        folder = Path(dbt_resource_props["original_file_path"]).parent.parts
        return "_".join(folder[1:]) if folder[0] == "models" else "seeds"

    def get_owners(self, dbt_resource_props) -> list[str]:
        return OWNERS


def build_dbt_assets() -> dg.AssetsDefinition:
    """The models, seeds and data tests of the dbt project. Raises UserError if dbt cannot read it."""
    manifest = project.parse(Settings()).writable_manifest().to_dict(omit_none=False)
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test":
            node["meta"] = {"description": describe(node)} | node["meta"]
    translator = Translator()

    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="customer_identity")
    def customer_identity(
        context: dg.AssetExecutionContext, run: Run
    ) -> Iterator[dg.Output | dg.AssetCheckResult | dg.AssetObservation]:
        """One dbt build: models in order, each followed by its tests."""
        selection = get_updated_cli_invocation_params_for_context(
            context, manifest, translator
        ).selection_args
        try:
            for event in build(context, run, selection if context.is_subset else []):
                yield from event.to_default_asset_events(manifest, translator, context)
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return customer_identity


def describe(test: dict) -> str:
    """What a data test checks, in words: its description, the comment that it begins with, or what it asks of which columns."""
    if test["description"]:
        return test["description"]
    if kind := test.get("test_metadata"):
        asked = {name: value for name, value in kind["kwargs"].items() if name != "model"}
        return f"{kind['name'].replace('_', ' ')}: " + ", ".join(
            str(value) if name == "column_name" else f"{name} {value}"
            for name, value in asked.items()
        )
    lines = itertools.takewhile(lambda line: line.startswith("--"), test["raw_code"].splitlines())
    return " ".join(line.lstrip("- ") for line in lines)


def build(
    context: dg.AssetExecutionContext, run: Run, selection: list[str]
) -> Iterator[DbtCoreCliEventMessage]:
    """dbt's results as they come; the warehouse is complete when all are there. Raises UserError.

    A selection starts its models afresh, and the next run rebuilds: others may rest on them.
    """
    settings = run.settings()
    seeds = read_seeds(settings)
    plan = mode.decide(settings, seeds, full_refresh=run.full_refresh)
    work.forget(settings)  # some models alone may be built, and dbt may be stopped
    if plan.full_refresh:
        context.log.info(f"rebuilding: {plan.why}")
    events: queue.Queue[DbtCoreCliEventMessage | BaseException | None] = queue.Queue()

    def on_event(event) -> None:
        if event.info.name in RESULTS:
            events.put(DbtCoreCliEventMessage(msg_to_dict(event), {}))

    checks = () if plan.full_refresh or run.every_check or selection else project.LEFT_TO_THE_NIGHT

    def run_dbt() -> None:
        try:
            project.build(
                settings,
                seeds,
                full_refresh=plan.full_refresh or bool(selection),
                selection=[*selection, *checks],
                on_event=on_event,
            )
            events.put(None)
        except BaseException as error:
            events.put(error)

    thread = threading.Thread(target=run_dbt, name="dbt", daemon=True)
    thread.start()
    said = time.monotonic()
    try:
        while event := events.get():
            if isinstance(event, BaseException):
                raise event
            yield event
            done = event.raw_event["data"]
            if time.monotonic() - said > SAID_SECONDS and "total" in done:  # not in a test's
                said = time.monotonic()
                context.log.info(f"resolving: {done['index']} of {done['total']} tables and checks")
    finally:
        while thread.is_alive():  # the run was stopped: so is every query, until dbt gives up
            project.interrupt()
            thread.join(0.1)
    if not selection:
        mode.remember(settings, plan)
