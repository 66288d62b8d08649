"""What DuckDB's SQL cannot read: phone numbers as people write them, by the phonenumbers library."""

import phonenumbers
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection


def e164_digits(text: str | None) -> str | None:
    """Digits of a number that is written with its plus and that a country issues, as a `wa_id` has them; else None."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


class Plugin(BasePlugin):
    """dbt-duckdb asks it once for each connection."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Make it known as `e164_digits(text)`."""
        conn.create_function(
            "e164_digits", e164_digits, ["varchar"], "varchar", null_handling="special"
        )
