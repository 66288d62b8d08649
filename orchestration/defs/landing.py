"""Webhook files into the raw schema."""

import dagster as dg

from orchestration import work
from orchestration.defs.run import OWNERS, Run
from orchestration.landing import LandingError, LoadResult, load_landing_dir
from orchestration.ledger import copy_keys_to_warehouse
from orchestration.settings import UserError
from orchestration.warehouse import open_warehouse


def load_metadata(result: LoadResult, total: int) -> dict[str, object]:
    """What a load tells of itself, and how many webhooks there are: counts, and files left out with the reason."""
    return {
        "dagster/row_count": total,
        "files": result.files,
        "files_new_or_grown": result.new + result.grown,
        "records_added": result.records,
        "bytes": result.bytes,
        "records_per_second": round(result.records_per_second, 1),
        "rejected": result.rejected_count,
        "rejected_parts": result.rejected_parts.total(),
        "repaired": result.repaired,
        **{
            f"rejected/{reason}": count
            for reason, count in sorted((result.rejected + result.rejected_parts).items())
        },
        "files_waiting_for_a_line_end": len(result.waiting),
        "left_out": dg.MetadataValue.json(dict(result.left_out)),
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
        work.forget(settings)  # until this run has published: it may be killed
        with open_warehouse(settings) as connection:
            result = load_landing_dir(
                connection,
                settings,
                on_progress=lambda progress: context.log.info(
                    f"landing: {progress.records:,} records"
                ),
            )
            total = connection.execute("select count(*) from raw.webhook").fetchone()[0]
        work.landed(settings, began_with, result.left_out)
    except LandingError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except UserError as error:
        raise dg.Failure(str(error)) from error
    context.log.info(
        f"landing: {result.records:,} records of {result.files} files, "
        f"{result.rejected_count} rejected"
    )
    for sentence in result.sentences():
        context.log.info(f"landing: {sentence}")
    return dg.MaterializeResult(metadata=load_metadata(result, total))


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
    """Invariant 2: what the ledger of files counts is what the tables hold, lines and parts of lines."""
    with open_warehouse(run.settings()) as connection:
        counted = connection.execute(
            """
            select
                coalesce(sum(record_count + recovered_count), 0),
                coalesce(sum(rejected_count), 0),
                coalesce(sum(rejected_part_count), 0)
            from raw.landing_file
            """
        ).fetchone()
        held = connection.execute(
            """
            select
                (select count(*) from raw.webhook),
                coalesce(sum(line_count) filter (json_path is null), 0),
                count(json_path)
            from raw.rejected_record
            """
        ).fetchone()
    names = ("webhooks", "rejected_lines", "rejected_parts")
    return dg.AssetCheckResult(
        passed=counted == held,
        metadata={
            f"{name}_{kind}": int(count)
            for kind, counts in (("in_files", counted), ("held", held))
            for name, count in zip(names, counts, strict=True)
        },
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
