"""What DuckDB's SQL cannot read: phone numbers as people and WhatsApp write them, by the phonenumbers library.

WhatsApp writes one line in two ways in three countries (Brazil's ninth digit, Mexico's 521, Argentina's 549), so a number in
a CRM or an echo may differ from the `wa_id`. A key makes them equal, for mobiles only: eight-digit numbers are legitimate
landlines in Brazil.
"""

import duckdb
import phonenumbers
from dbt.adapters.duckdb.plugins import BasePlugin

READ = duckdb.struct_type(
    {"phone_e164": "varchar", "country_code": "varchar", "match_key": "varchar"}
)


def e164_digits(text: str | None) -> str | None:
    """Digits of a number that is written with its plus and that a country issues, as a `wa_id` has them; else None."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def match_key(number: phonenumbers.PhoneNumber) -> str:
    """Digits under which the variants of one mobile line are equal; E.164 digits for all others."""
    national = str(number.national_number)
    if number.country_code == 55 and len(national) == 10 and national[2] in "6789":
        national = national[:2] + "9" + national[2:]
    elif number.country_code == 52 and len(national) == 11 and national.startswith("1"):
        national = national[1:]
    elif number.country_code == 54 and len(national) == 11 and national.startswith("9"):
        national = national[1:]
    return f"{number.country_code}{national}"


def read_phone(phone: str, default_country: str | None) -> dict[str, str | None]:
    """E.164, country and match key; what no country issues keeps its own text as key.

    A `wa_id` comes without a default country and is complete but for its plus.
    """
    try:
        text = phone if default_country else f"+{phone}"
        number = phonenumbers.parse(text, default_country)
    except phonenumbers.NumberParseException:
        return {"phone_e164": None, "country_code": None, "match_key": phone}
    return {
        "phone_e164": phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        "country_code": phonenumbers.region_code_for_number(number),
        "match_key": match_key(number),
    }


class Plugin(BasePlugin):
    """dbt-duckdb asks it once for each connection."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Make them known as `e164_digits(text)` and `read_phone(phone, default_country)`."""
        conn.create_function(
            "e164_digits", e164_digits, ["varchar"], "varchar", null_handling="special"
        )
        conn.create_function(
            "read_phone", read_phone, ["varchar", "varchar"], READ, null_handling="special"
        )
