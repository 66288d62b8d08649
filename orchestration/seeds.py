"""The reference CSVs: checked before dbt sees them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestration.settings import Settings, UserError

# The rows of each reference CSV, by its name.
Seeds = Mapping[str, Sequence[Mapping[str, object]]]

REQUIRED = {
    "business_accounts": (
        "waba_id", "portfolio_id", "business_name", "default_country",
        "valid_from", "valid_to", "contact_book_from", "contact_book_to",
    ),
    "identity_overrides": (
        "portfolio_id", "left_type", "left_value", "left_at", "right_type", "right_value",
        "right_at", "decision", "author", "decided_at", "reason", "expires_at",
    ),
    "ignored_identifiers": ("portfolio_id", "identifier_type", "identifier_value", "reason"),
    "crm_contacts": (
        "crm_contact_id", "portfolio_id", "phone", "bsuid", "username", "name", "phone_consent",
    ),
}  # fmt: skip
OPTIONAL = ("crm_contacts",)


class SeedError(UserError):
    """A reference CSV is missing or malformed."""


def read_seeds(settings: Settings) -> Seeds:
    """Every seed in SEEDS_DIR, checked: its name -> rows. A missing optional seed is empty.

    Raises SeedError naming file, line and column.
    """
    numbered = {name: read_seed(settings.seeds_dir, name) for name in REQUIRED}
    check_ownership(settings.seeds_dir / "business_accounts.csv", numbered["business_accounts"])
    check_contacts(settings.seeds_dir / "crm_contacts.csv", numbered["crm_contacts"])
    return {name: [row for _, row in rows] for name, rows in numbered.items()}


def write_seeds(folder: Path, seeds: Seeds) -> None:
    """Write every seed as dbt reads it: UTF-8, all columns, those without rows too."""
    for name, columns in REQUIRED.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(seeds.get(name, ()))


def read_seed(folder: Path, name: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a seed with their line numbers."""
    path = folder / f"{name}.csv"
    if not path.exists():
        if name in OPTIONAL:
            return []
        raise SeedError(
            f"{path} is missing: create it with the header {','.join(REQUIRED[name])} "
            "(rows may be absent), or point SEEDS_DIR at the folder that has it."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval=None)
            missing = [name for name in REQUIRED[name] if name not in (reader.fieldnames or ())]
            if missing:
                raise SeedError(f"{path} line 1 lacks the column {missing[0]}: add it.")
            extra = [name for name in reader.fieldnames or () if name not in REQUIRED[path.stem]]
            if extra:
                raise SeedError(f"{path} line 1 has the unknown column {extra[0]!r}: remove it.")
            rows = []
            for row in reader:
                if "" in row or None in row.values():
                    raise SeedError(
                        f"{path} line {reader.line_num} does not have {len(REQUIRED[name])} "
                        "fields: quote values that hold a comma."
                    )
                rows.append((reader.line_num, check_row(path, reader.line_num, row)))
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise SeedError(f"{path} is not a UTF-8 CSV ({error}): save it as one.") from error


def check_row(path: Path, line: int, row: dict[str, str]) -> dict[str, str]:
    """The row, with its times checked and its values stripped."""
    row = {name: value.strip() for name, value in row.items()}
    for name, value in row.items():
        if value and name.endswith(("_at", "_from", "_to")):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise SeedError(
                    f"{path} line {line}: {name} is {value!r}: "
                    "write a time as 2026-04-01 or 2026-04-01 12:00:00 (UTC)."
                ) from None
    if path.stem == "business_accounts" and not (row["waba_id"] and row["portfolio_id"]):
        raise SeedError(f"{path} line {line}: waba_id and portfolio_id must be filled.")
    allowed = ("true", "false", "")
    if path.stem == "crm_contacts" and row["phone_consent"].lower() not in allowed:
        raise SeedError(f"{path} line {line}: phone_consent must be true, false or empty.")
    return row


def moment(text: str) -> datetime | None:
    """A time of a seed as UTC, which it is unless it names an offset."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def check_ownership(path: Path, rows: list[tuple[int, dict[str, str]]]) -> None:
    """A WABA belongs to one portfolio at a time."""
    owned: dict[str, list[tuple[datetime, datetime, int]]] = {}
    for line, row in rows:
        begin = moment(row["valid_from"]) or datetime.min
        end = moment(row["valid_to"]) or datetime.max
        for other_begin, other_end, other_line in owned.get(row["waba_id"], ()):
            if begin < other_end and other_begin < end:
                raise SeedError(
                    f"{path} lines {other_line} and {line} map WABA {row['waba_id']} at the same "
                    "time: remove one, or set valid_from and valid_to so that they do not overlap."
                )
        owned.setdefault(row["waba_id"], []).append((begin, end, line))


def check_contacts(path: Path, rows: list[tuple[int, dict[str, str]]]) -> None:
    """A CRM contact has an id of its own, which the crosswalk is keyed on, and a portfolio."""
    lines: dict[str, int] = {}
    for line, row in rows:
        if not (row["crm_contact_id"] and row["portfolio_id"]):
            raise SeedError(f"{path} line {line}: crm_contact_id and portfolio_id must be filled.")
        other_line = lines.setdefault(row["crm_contact_id"], line)
        if other_line != line:
            raise SeedError(
                f"{path} lines {other_line} and {line} are both crm_contact_id "
                f"{row['crm_contact_id']}: remove one, or give it another id."
            )
