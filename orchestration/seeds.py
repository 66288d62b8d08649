"""The reference CSVs: checked before dbt sees them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import phonenumbers

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
OPTIONAL_COLUMNS = {
    "valid_from", "valid_to", "contact_book_from", "contact_book_to",
    "left_at", "right_at", "expires_at",
}  # fmt: skip
IDS = {
    "waba_id", "portfolio_id", "left_value", "right_value", "identifier_value", "crm_contact_id",
    "phone", "bsuid",
}  # fmt: skip
# What these columns may say, in any case.
CHOICES = {
    "decision": ("must_link", "cannot_link"),
    "left_type": ("bsuid", "phone"),
    "right_type": ("bsuid", "phone"),
    "identifier_type": ("bsuid", "phone"),
    "phone_consent": ("true", "false", ""),
}
# What a spreadsheet makes of a long number.
ROUNDED = re.compile(r"\d+([.,]\d+)?E\+?\d+", re.IGNORECASE)
DECIMAL = re.compile(r"\d+[.,]0+")

Rows = list[tuple[int, dict[str, str]]]


class SeedError(UserError):
    """A reference CSV is missing or malformed; a sentence for each problem."""


def read_seeds(settings: Settings) -> Seeds:
    """Every seed in SEEDS_DIR, checked: its name -> rows. A missing optional seed is empty.

    Raises SeedError naming file, line and column of all that is wrong.
    """
    folder = settings.seeds_dir
    checks = {"business_accounts": check_ownership, "crm_contacts": check_contacts}
    seeds, problems = {}, []
    for name in REQUIRED:
        try:
            rows = read_seed(folder, name)
            if name in checks:
                checks[name](folder / f"{name}.csv", rows)
            seeds[name] = [row for _, row in rows]
        except SeedError as error:
            problems.append(str(error))
    if problems:
        raise SeedError("\n".join(problems))
    return seeds


def write_seeds(folder: Path, seeds: Seeds) -> None:
    """Write every seed as dbt reads it: UTF-8, all columns, those without rows too."""
    for name, columns in REQUIRED.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(seeds.get(name, ()))


def read_seed(folder: Path, name: str) -> Rows:
    """The rows of a seed with their line numbers; commas, semicolons or tabs part its columns.

    Rows without any value, as templates have them, are left out. Raises SeedError.
    """
    path = folder / f"{name}.csv"
    if not path.exists():
        if name in OPTIONAL:
            return []
        raise SeedError(
            f"{path} is missing: create it with the header {','.join(REQUIRED[name])} "
            "(rows may be absent), or point SEEDS_DIR at the folder that has it."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SeedError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SeedError(f"{path} is not a UTF-8 CSV ({error}): save it as one.") from error
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""),
        strict=True,
        restkey="",
        delimiter=max(",;\t", key=header.count),
    )
    rows, problems = [], []
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        needed = [column for column in REQUIRED[name] if column not in OPTIONAL_COLUMNS]
        twice = [column for column in columns if columns.count(column) > 1]
        if twice:
            raise SeedError(f"{path} line 1 has the column {twice[0]} twice: remove one.")
        missing = [column for column in needed if column not in columns]
        if missing:
            raise SeedError(f"{path} line 1 lacks the column {', '.join(missing)}: add it.")
        extra = [column for column in columns if column not in REQUIRED[name]]
        if extra:
            raise SeedError(f"{path} line 1 has the unknown column {extra[0]!r}: remove it.")
        for row in reader:
            line = reader.line_num
            if "" in row or None in row.values():
                problems.append(
                    f"{path} line {line} does not have {len(columns)} fields: quote values that "
                    "hold a separator."
                )
                continue
            row = {column: "" for column in REQUIRED[name]} | {
                column: value.strip() for column, value in row.items()
            }
            if any(row.values()):
                rows.append((line, row))
                problems += [f"{path} line {line}: {wrong}." for wrong in check_row(name, row)]
    except csv.Error as error:
        raise SeedError(f"{path} line {reader.line_num} is not CSV ({error}).") from error
    if problems:
        rest = f"\n{path} has {len(problems) - 10} more such lines." if len(problems) > 10 else ""
        raise SeedError("\n".join(problems[:10]) + rest)
    return rows


def check_row(name: str, row: dict[str, str]) -> Iterator[str]:
    """What is wrong with the values of a row, with the cure; writes countries and choices as dbt knows them."""
    for column, value in row.items():
        if value and column.endswith(("_at", "_from", "_to")):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                yield f"{column} is {value!r}: write a time as 2026-04-01 or 2026-04-01 12:00:00 (UTC)"
        if column in IDS and ROUNDED.fullmatch(value):
            yield (
                f"{column} is {value}, which a spreadsheet has rounded: format the column as text, "
                "and enter the whole number again"
            )
        if column in IDS and DECIMAL.fullmatch(value):
            yield (
                f"{column} is {value}, which a spreadsheet took for an amount: format the column as text, "
                "and take the decimals away"
            )
        if column in CHOICES:
            row[column] = value = value.lower()
            if value not in CHOICES[column]:
                choices = [choice or "nothing" for choice in CHOICES[column]]
                yield f"{column} is {value!r}: write {', '.join(choices[:-1])} or {choices[-1]}"
        if column == "default_country" and value:
            row[column] = value = value.upper()
            if value not in phonenumbers.SUPPORTED_REGIONS:
                yield f"{column} is {value!r}: write the two letters of a country, such as BR"
    if name == "business_accounts" and not (row["waba_id"] and row["portfolio_id"]):
        yield "waba_id and portfolio_id must be filled"
    if name == "crm_contacts" and not (row["crm_contact_id"] and row["portfolio_id"]):
        yield "crm_contact_id and portfolio_id must be filled"


def moment(text: str) -> datetime | None:
    """A time of a seed as UTC, which it is unless it names an offset."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def check_ownership(path: Path, rows: Rows) -> None:
    """A WABA belongs to one portfolio at a time. Raises SeedError."""
    owned: dict[str, list[tuple[datetime, datetime, int]]] = {}
    for line, row in rows:
        begin = moment(row["valid_from"]) or datetime.min
        end = moment(row["valid_to"]) or datetime.max
        if begin >= end:
            raise SeedError(
                f"{path} line {line}: valid_from is not before valid_to: correct one of them."
            )
        for other_begin, other_end, other_line in owned.get(row["waba_id"], ()):
            if begin < other_end and other_begin < end:
                raise SeedError(
                    f"{path} lines {other_line} and {line} map WABA {row['waba_id']} at the same "
                    "time: remove one, or set valid_from and valid_to so that they do not overlap."
                )
        owned.setdefault(row["waba_id"], []).append((begin, end, line))


def check_contacts(path: Path, rows: Rows) -> None:
    """A CRM contact has an id of its own, which the crosswalk is keyed on. Raises SeedError."""
    lines: dict[str, int] = {}
    for line, row in rows:
        other_line = lines.setdefault(row["crm_contact_id"], line)
        if other_line != line:
            raise SeedError(
                f"{path} lines {other_line} and {line} are both crm_contact_id "
                f"{row['crm_contact_id']}: remove one, or give it another id."
            )
