"""Phones as the phonenumbers library reads them: E.164, country and a key that joins variants.

WhatsApp writes one line in two ways in three countries (Brazil's ninth digit, Mexico's 521, Argentina's 549),
so a number in a CRM or an echo may differ from the `wa_id`. The key makes them equal, for mobiles only: eight-digit
numbers are legitimate landlines in Brazil.
"""

import phonenumbers
import pyarrow as pa

COLUMNS = pa.schema(
    [
        ("phone", pa.string()),
        ("default_country", pa.string()),
        ("phone_e164", pa.string()),
        ("country_code", pa.string()),
        ("match_key", pa.string()),
        ("load_id", pa.int64()),
    ]
)


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


def describe(phone: str, default_country: str | None) -> tuple[str | None, ...]:
    """One row of COLUMNS; what no country issues keeps its own text as key.

    A `wa_id` comes without a default country and is complete but for its plus.
    """
    try:
        text = phone if default_country else f"+{phone}"
        number = phonenumbers.parse(text, default_country)
    except phonenumbers.NumberParseException:
        return phone, default_country, None, None, phone
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    region = phonenumbers.region_code_for_number(number)
    return phone, default_country, e164, region, match_key(number)


def model(dbt, session):
    """Describe every phone on the wire and every phone in the CRM once; a run that adds, only new ones."""
    dbt.config(materialized="incremental")
    observed = dbt.ref("int_identity__observation")
    changed = dbt.ref("int_identity__change_copy")
    if dbt.is_incremental:
        landed_since = f"load_id > (select coalesce(max(load_id), 0) from {dbt.this})"
        observed, changed = observed.filter(landed_since), changed.filter(landed_since)
    phones = (
        observed.project("phone, null::varchar as default_country, load_id")
        .union(changed.project("unnest([old_phone, new_phone]), null, load_id"))
        .union(dbt.ref("int_crm__contact").project("phone, default_country, 0"))
        .filter("phone is not null")
        .aggregate("phone, default_country, min(load_id) as load_id")
        .set_alias("phones")
    )
    if dbt.is_incremental:
        known = session.sql(f"select phone, default_country from {dbt.this}")
        phones = phones.join(
            known.set_alias("known"),
            "phones.phone = known.phone and phones.default_country is not distinct from known.default_country",
            how="anti",
        )
    rows = [
        (*describe(phone, default_country), load_id)
        for phone, default_country, load_id in phones.fetchall()
    ]
    return pa.Table.from_pylist(
        [dict(zip(COLUMNS.names, row, strict=True)) for row in rows], schema=COLUMNS
    )
