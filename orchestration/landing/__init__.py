"""Webhook files into the raw schema of the warehouse; `load_landing_dir` is the way in."""

from orchestration.landing.folder import LandingError, check_folder
from orchestration.landing.load import LoadResult, Progress, load_landing_dir
from orchestration.landing.retry import RetryResult, retry_rejected

__all__ = [
    "LandingError",
    "LoadResult",
    "Progress",
    "RetryResult",
    "check_folder",
    "load_landing_dir",
    "retry_rejected",
]
