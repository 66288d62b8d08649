"""The metrics of dbt_project/models/semantic, asked of the published file: `make metrics`.

The arguments are those of MetricFlow's `mf`, such as `query --metrics customers --group-by metric_time__week`; without any,
those after `query` are in QUERY.
"""

import json
import os
import shlex
import sys

import update_checker

from orchestration.explain import open_published
from orchestration.project import FOLDER, TARGET, parse
from orchestration.settings import Settings, UserError
from orchestration.terminal import InertOutput

USUAL = "--saved-query transition_by_month --order metric_time__month"


def prepare(settings: Settings) -> None:
    """Point MetricFlow at the published file, read-only. Raises UserError when nothing is published."""
    open_published(settings).close()
    parse(settings, written=True)
    manifest = json.loads((TARGET / "semantic_manifest.json").read_text())
    relation = manifest["semantic_models"][0]["node_relation"]
    os.environ.update(
        DBT_TARGET="published",
        DBT_PROJECT_DIR=str(FOLDER),
        DBT_PROFILES_DIR=str(FOLDER),
        PUBLISH_DIR=str(settings.publish_dir),
        # the SQL names the database that the manifest was made for
        PUBLISHED_AS=relation["database"],
    )
    # it would ask the package index for a newer version of itself
    update_checker.UpdateChecker.check = lambda *_: None


def main() -> None:
    """Run `mf` with the arguments of the command line; ends the process."""
    try:
        if len(sys.argv) == 1:
            sys.argv += ["query", *shlex.split(os.environ.get("QUERY") or USUAL)]
        prepare(Settings.of_readers())
    except ValueError as error:
        sys.exit(f"Error: QUERY cannot be read ({error}): close the quotation.")
    except UserError as error:
        sys.exit(f"Error: {error}")
    from dbt_metricflow.cli.main import cli

    # after the import: its spinner keeps the terminal, and shows nothing of anybody
    sys.stdout, sys.stderr = InertOutput(sys.stdout), InertOutput(sys.stderr)
    cli()


if __name__ == "__main__":
    main()
