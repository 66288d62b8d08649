"""The gate (R12) and the published warehouse."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from orchestration import work
from orchestration.defs.run import OWNERS, Run
from orchestration.gate import Verdict
from orchestration.publish import GateClosed, publish
from orchestration.settings import UserError

GATE = "publish_gate"


def gate_result(verdict: Verdict, passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=GATE,
        passed=passed,
        description="; ".join(verdict.reasons) or None,
        metadata={
            "customers_published": verdict.customers,
            "merged": verdict.merged,
            "split": verdict.split,
            "rekeyed": verdict.rekeyed,
            "vanished": verdict.vanished,
            "appeared": verdict.appeared,
            "messages_moved": verdict.moved_messages,
            "messages_of_largest_customer": verdict.largest_now,
            "examples": dg.MetadataValue.json([list(change) for change in verdict.examples]),
        },
    )


def build_published_customers(marts: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset that publishes once all of these marts and their checks are there."""

    key = ["published", "customers"]

    @dg.asset(
        key=key,
        deps=marts,
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=key,
                description="R12: not too many customers merge, split, change key or lose messages against what is "
                "published. FORCE=1 lets a reviewed change through.",
            )
        ],
        group_name="publishing",
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26)),
    )
    def published_customers(
        context: dg.AssetExecutionContext, run: Run
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        """PUBLISH_DIR/customers.duckdb and Parquet, swapped in whole: what dashboards read."""
        try:
            publication = publish(run.settings())
            work.finish(run.settings())
        except GateClosed as error:
            yield gate_result(error.verdict, passed=False)
            raise dg.Failure(str(error), allow_retries=False) from error
        except UserError as error:
            raise dg.Failure(str(error)) from error
        context.log.info(f"published: {publication.path}")
        yield gate_result(publication.verdict, passed=True)
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": publication.rows["dim_customer"],
                "path": dg.MetadataValue.path(str(publication.path)),
                "publish_id": publication.publish_id,
                "seconds": publication.seconds,
                **{f"rows/{name}": count for name, count in publication.rows.items()},
            }
        )

    return published_customers
