"""Webhook files into the raw schema of the warehouse; `load_landing_dir` is the way in."""

from orchestration.landing.load import LandingError, LoadResult, Progress, load_landing_dir

__all__ = ["LandingError", "LoadResult", "Progress", "load_landing_dir"]
