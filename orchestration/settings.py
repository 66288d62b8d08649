"""The settings of the pipeline: read from the environment, checked once, one object for all."""

import difflib
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = REPOSITORY / "seeds" / "sample" / "webhooks"
DATA = REPOSITORY / "data"

# Below this likeness (difflib ratio) a foreign variable is taken for somebody else's:
# DBT_TARGET_PATH, which is dbt's own, is .80 like DBT_TARGET; LANDING_DIRS is .96 like LANDING_DIR.
MISSPELLING_RATIO = 0.85
OWN_PREFIXES = ("DUCKDB_", "GATE_", "LANDING_", "NOTIFY_")


class UserError(Exception):
    """Something the user can put right: its text is one sentence naming the thing and the cure."""


# What a fault of the disk or of memory says, and what to do about it.
CURES = {
    "No space left": "make room",
    "File too large": "allow larger files (ulimit -f), or make room",
    "Disk quota exceeded": "make room",
    "Permission denied": "give yourself write access to the folder",
    "Read-only file system": "choose a folder that you may write to",
    "Out of Memory": "raise DUCKDB_MEMORY_LIMIT",
    "Too many open files": "allow more open files (ulimit -n)",
}


def cure_of(text: str) -> str | None:
    """What to do about a fault of the disk or of memory that a text tells of; None where it tells of none."""
    return next((cure for fault, cure in CURES.items() if fault in text), None)


class SettingsError(UserError):
    """A setting has a wrong value, or is not one of ours."""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _enough_memory(size: str) -> str:
    amount, unit = re.fullmatch(r"([\d.]+)\s*(.)I?B", size.upper()).groups()
    if float(amount) * 1024.0 ** ("KMGT".index(unit) - 1) < MEMORY_MIN_MB:
        raise ValueError("too little for any run")
    return size


FilePath = Annotated[Path, AfterValidator(_absolute)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
MEMORY_MIN_MB = 100
MemorySize = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"(?i)^\d+(\.\d+)?\s*[KMGT]I?B$"),
    AfterValidator(_enough_memory),
]

EXPECTED = {
    "dbt_target": "give the name of a target in dbt_project/profiles.yml, such as duckdb",
    "duckdb_threads": "give a whole number of threads, 1 or more",
    "duckdb_memory_limit": "give a size of 100MB or more with its unit, such as 4GB or 800MB",
    "gate_free_customers": "give a whole number, 0 or more",
    "gate_max_customer_growth": "give a factor of 1 or more, such as 1.5",
    "body_path": "give the keys that lead to the webhook body, joined by dots, such as data.payload",
    "file_umask": "give 077 (only this user) or 027 (a shared group may read)",
    "force": "give true or false",
    "retention_days": "give a whole number of days, 1 or more",
    "publish_masked": "give true or false",
    "publish_text": "give true or false",
    "show_pii": "give true or false",
}


class Settings(BaseSettings):
    """All settings. `Settings()` reads the environment; keyword arguments (lower case) go first.

    Paths are absolute: relative ones are taken from the current directory, the defaults from the
    repository. An empty variable counts as not set. Raises SettingsError.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    # Keys that lead to the body in the records of a gateway that is not known, joined by dots.
    body_path: Annotated[
        str, StringConstraints(strip_whitespace=True, pattern=r"^([^.$\s]+(\.[^.$\s]+)*)?$")
    ] = ""
    # The sample has a warehouse and a published folder of its own, in data/sample (`_keep_the_sample_apart`).
    landing_dir: FilePath = SAMPLE
    warehouse_path: FilePath = DATA / "warehouse.duckdb"
    publish_dir: FilePath = DATA / "published"
    seeds_dir: FilePath = REPOSITORY / "seeds"
    # The key of the hashes by which who was forgotten is known again, and of the masked published file.
    forget_key_file: FilePath = DATA / "forget.key"
    # After so many days `make retain` takes what people wrote out of landing files and raw (orchestration/retention.py),
    # and no text that is older is published.
    retention_days: Annotated[int, Field(ge=1)] | None = None
    # Rights that are taken from every file that is written: 077 leaves them to this user, 027 lets the group read.
    file_umask: Annotated[str, StringConstraints(pattern=r"^0?0[0-7][0-7]$")] = "077"
    dbt_target: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = "duckdb"
    duckdb_threads: Annotated[int, Field(ge=1)] = os.cpu_count() or 1
    duckdb_memory_limit: MemorySize = "4GB"

    # The publish gate. Shares are of the published customers (or messages), 0 to 1; growth is the
    # largest customer's message count now over then. Healthy daily runs stay far below all of them.
    gate_max_merged_share: Share = 0.01
    gate_max_split_share: Share = 0.01
    gate_max_rekeyed_share: Share = 0.01
    gate_max_vanished_share: Share = 0.01
    gate_max_moved_message_share: Share = 0.02
    # So many customers may always merge, split, change key or vanish: one merge in a warehouse of 60 is 1.7 %.
    gate_free_customers: Annotated[int, Field(ge=0)] = 10
    gate_max_customer_growth: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0
    force: bool = False
    # Publish customers_masked.duckdb too, for analysts without clearance.
    publish_masked: bool = False
    # Publish customers_text.duckdb too: what people wrote, for who may read it (orchestration/texts.py).
    publish_text: bool = False
    # The dashboard masks phone numbers unless this is set.
    show_pii: bool = False

    # Whom to tell of a failed run (orchestration/notify.py); the log says it in any case.
    notify_slack_url: str = ""
    notify_email: str = ""
    notify_smtp_url: str = "smtp://localhost"

    @model_validator(mode="before")
    @classmethod
    def _keep_the_sample_apart(cls, values: dict[str, Any]) -> dict[str, Any]:
        landing = values.get("landing_dir", SAMPLE)
        if isinstance(landing, str | Path) and _absolute(Path(landing)) == SAMPLE:
            sample = {
                "warehouse_path": DATA / "sample" / "warehouse.duckdb",
                "publish_dir": DATA / "sample" / "published",
            }
            return sample | values
        return values

    @classmethod
    def of_readers(cls) -> Self:
        """The settings of who reads what is published: with nothing set, your own data before the sample.

        Says which on standard error where there are both. Raises SettingsError.
        """
        settings = cls()
        own, sample = DATA / "published", DATA / "sample" / "published"
        chosen = os.environ.get("LANDING_DIR") or settings.publish_dir != sample
        if chosen or not (own / "customers.duckdb").exists():
            return settings
        if (sample / "customers.duckdb").exists():
            print(f"Reading {own}; for the sample set PUBLISH_DIR={sample}.", file=sys.stderr)
        return settings.model_copy(
            update={"publish_dir": own, "warehouse_path": DATA / "warehouse.duckdb"}
        )

    def __init__(self, **values: Any) -> None:
        _refuse_unknown_variables()
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(map(_sentence, error.errors()))) from error

    def environment(self) -> dict[str, str]:
        """Every setting as an environment variable, for subprocesses: name -> text."""
        return {
            name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self
            if value is not None
        }


def _refuse_unknown_variables() -> None:
    known = [name.upper() for name in Settings.model_fields]
    problems = []
    for variable in os.environ:
        name = variable.upper()
        if name in known:
            continue
        ours = name.startswith(OWN_PREFIXES)
        nearest = difflib.get_close_matches(name, known, 1, 0 if ours else MISSPELLING_RATIO)
        if nearest:
            problems.append(
                f"{variable} is not a setting: the nearest one is {nearest[0]}; "
                "correct the name or remove the variable."
            )
    if problems:
        raise SettingsError("\n".join(problems))


def _sentence(error: dict[str, Any]) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(name, list(Settings.model_fields), 1, 0)[0]
        return f"{name.upper()} is not a setting: the nearest one is {nearest.upper()}."
    share = name.startswith("gate_")
    cure = EXPECTED.get(name, "give a share from 0 to 1, such as 0.01" if share else "give a path")
    return f"{name.upper()}={error['input']} is not usable: {cure}."
