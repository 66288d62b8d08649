"""What all steps of one run share: how it was asked to go, and the locks that it holds."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from orchestration.lock import locked
from orchestration.settings import Settings


class Run(dg.ConfigurableResource):
    """Run config of every asset: `{resources: {run: {config: {full_refresh: true}}}}`."""

    full_refresh: bool = Field(False, description="Work everything out anew instead of adding.")
    force: bool = Field(False, description="Publish although the publish gate (R12) is closed.")

    def settings(self) -> Settings:
        """The settings of the environment, with this run's `force`. Raises UserError."""
        settings = Settings()
        return settings.model_copy(update={"force": settings.force or self.force})

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Run"]:
        """Hold the locks from before the first step until after the last one."""
        with locked(Settings(), context.log.info):
            yield self
