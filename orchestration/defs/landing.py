"""Webhook files into the raw schema."""

from collections.abc import Mapping

import dagster as dg

from orchestration import work
from orchestration.defs.run import OWNERS, Run
from orchestration.landing import LandingError, LoadResult, load_landing_dir
from orchestration.ledger import copy_keys_to_warehouse
from orchestration.settings import UserError
from orchestration.warehouse import check_landing_dir, open_warehouse, remember_landing_dir

def load_metadata(
    result: LoadResult, total: int, left_out: Mapping[str, str]
) -> dict[str, object]:
    """What a load tells of itself, and how many webhooks there are: counts, and files left out with the reason."""
    return {
        "dagster/row_count": total,
        "files": result.files,
        "files_new_or_grown": result.new + result.grown,
        "records_added": result.records,
        "bytes": result.bytes,
        "records_per_second": round(result.records_per_second, 1),
        "rejected": result.rejected_count,
        **{f"rejected/{reason}": count for reason, count in sorted(result.rejected.items())},
        "files_waiting_for_a_line_end": len(result.waiting),
        "files_vanished": len(result.vanished),
        "left_out": dg.MetadataValue.json(dict(left_out)),
    }


@dg.asset(
    key=["raw", "webhook"],
    group_name="landing",
    kinds={"duckdb", "json"},
    owners=OWNERS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
)
def webhook(context: dg.AssetExecutionContext, run: Run) -> dg.MaterializeResult:
    """Every webhook that WhatsApp delivered, byte for byte: one row per accepted body.

    Takes in what is new below LANDING_DIR; what is no webhook goes to raw.rejected_record.
    """
    try:
        settings = run.settings()
        began_with = work.state(settings)
        with open_warehouse(settings) as connection:
            check_landing_dir(connection, settings)
            result = load_landing_dir(
                connection,
                settings,
                on_progress=lambda progress: context.log.info(
                    f"landing: {progress.records:,} records"
                ),
            )
            remember_landing_dir(connection, settings)
            total = connection.execute("select count(*) from raw.webhook").fetchone()[0]
        left_out = {**result.refused, **result.unreadable}
        work.landed(settings, began_with, left_out)
    except LandingError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except UserError as error:
        raise dg.Failure(str(error)) from error
    context.log.info(
        f"landing: {result.records:,} records of {result.files} files, "
        f"{result.rejected_count} rejected"
    )
    return dg.MaterializeResult(metadata=load_metadata(result, total, left_out))


@dg.asset(
    key=["raw", "published_key"],
    group_name="landing",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[["raw", "webhook"]],
)
def published_key(run: Run) -> dg.MaterializeResult:
    """Every customer key ever published (R10), as the ledger in PUBLISH_DIR remembers them."""
    try:
        return dg.MaterializeResult(
            metadata={"dagster/row_count": copy_keys_to_warehouse(run.settings())}
        )
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dg.asset_check(asset=["raw", "webhook"], blocking=True)
def every_line_is_loaded_or_rejected(run: Run) -> dg.AssetCheckResult:
    """Invariant 2: what the ledger of files counts is what the tables hold."""
    with open_warehouse(run.settings()) as connection:
        counted, held = connection.execute(
            """
            select
                (select coalesce(sum(record_count + rejected_count), 0) from raw.landing_file),
                (select count(*) from raw.webhook) + (select count(*) from raw.rejected_record)
            """
        ).fetchone()
    return dg.AssetCheckResult(
        passed=counted == held, metadata={"lines_in_files": int(counted), "lines_held": int(held)}
    )


@dg.asset_check(asset=["raw", "webhook"])
def newest_receipt_is_recent(run: Run) -> dg.AssetCheckResult:
    """A webhook was received within the last day: if not, warn that none arrive, or that they do not reach LANDING_DIR."""
    with open_warehouse(run.settings()) as connection:
        newest, age = connection.execute(
            "select max(received_at), date_diff('hour', max(received_at), now()::timestamp) from raw.webhook"
        ).fetchone()
    return dg.AssetCheckResult(
        passed=age is not None and age <= 26,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"newest_receipt": str(newest), "hours_ago": age},
    )
