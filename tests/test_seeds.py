"""Reference data as people save it is read; what would be misread is refused with file, line and cure."""

from __future__ import annotations

import pytest

from orchestration.seeds import (
    REQUIRED,
    SeedError,
    check_contacts,
    check_ownership,
    read_seed,
    write_seeds,
)

CRM_HEADER = ",".join(REQUIRED["crm_contacts"])


@pytest.mark.parametrize(
    ("contacts", "sentence"),
    [
        (["C-1,P,,,,,", "C-2,P,,,,,", "C-1,Q,,,,,"], "lines 2 and 4 are both crm_contact_id C-1"),
        (["C-1,P,,,,,", ",P,,,,,"], "line 3: crm_contact_id and portfolio_id must be filled"),
        (["C-1, ,,,,,"], "line 2: crm_contact_id and portfolio_id must be filled"),
    ],
)
def test_a_contact_that_cannot_be_told_apart_is_refused(tmp_path, contacts, sentence):
    path = tmp_path / "crm_contacts.csv"
    path.write_text("\n".join([CRM_HEADER, *contacts]) + "\n")
    with pytest.raises(SeedError) as refused:
        check_contacts(path, read_seed(tmp_path, "crm_contacts"))
    assert f"{path} {sentence}" in str(refused.value)


ACCOUNT = {
    "waba_id": "200",
    "portfolio_id": "100",
    "business_name": "Shop",
    "default_country": "BR",
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_is_read_as_spreadsheets_save_it(tmp_path, separator, mark, end):
    """Other separators, a byte order mark, rows of a template, columns that may be missing."""
    lines = [separator.join(ACCOUNT), separator.join(ACCOUNT.values()), separator * 3, ""]
    (tmp_path / "business_accounts.csv").write_bytes((mark + end.join(lines)).encode())
    ((line, row),) = read_seed(tmp_path, "business_accounts")
    assert line == 2
    assert row == ACCOUNT | dict.fromkeys(REQUIRED["business_accounts"][4:], "")


OVERRIDE = dict.fromkeys(REQUIRED["identity_overrides"], "") | {
    "left_type": "bsuid", "right_type": "phone", "decision": "must_link",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        (
            "business_accounts",
            ACCOUNT | {"waba_id": "7.77E+14"},
            "waba_id is 7.77E+14, which a spreadsheet",
        ),
        ("business_accounts", ACCOUNT | {"waba_id": "7,77E+14"}, "which a spreadsheet has rounded"),
        (
            "business_accounts",
            ACCOUNT | {"waba_id": "777000000000001.0"},
            "which a spreadsheet took for an amount",
        ),
        (
            "business_accounts",
            ACCOUNT | {"default_country": "Brazil"},
            "default_country is 'BRAZIL'",
        ),
        ("identity_overrides", OVERRIDE | {"decision": "merge"}, "write must_link or cannot_link"),
        ("identity_overrides", OVERRIDE | {"left_type": "email"}, "write bsuid or phone"),
    ],
)
def test_a_value_that_would_be_misread_is_refused(tmp_path, name, row, sentence):
    write_seeds(tmp_path, {name: [row]})
    with pytest.raises(SeedError, match="line 2: .*") as refused:
        read_seed(tmp_path, name)
    assert sentence in str(refused.value)


def test_two_contacts_may_be_one_person(tmp_path):
    path = tmp_path / "crm_contacts.csv"
    path.write_text(CRM_HEADER + "\nC-1,P,1,,,Ana,\nC-2,P,1,,,Ana,\n")
    check_contacts(path, read_seed(tmp_path, "crm_contacts"))


def test_times_of_ownership_are_compared_as_times_however_they_are_written(tmp_path):
    owned = {"waba_id": "1", "portfolio_id": "P"}
    former, later = (
        owned | {"valid_to": "2026-06-01T00:00"},
        owned | {"valid_from": "2026-06-01 00:00"},
    )
    path = tmp_path / "business_accounts.csv"
    write_seeds(tmp_path, {"business_accounts": [former, later]})
    check_ownership(path, read_seed(tmp_path, "business_accounts"))
    write_seeds(tmp_path, {"business_accounts": [former | {"valid_to": "2026-06-01T12:00"}, later]})
    with pytest.raises(SeedError, match="at the same time"):
        check_ownership(path, read_seed(tmp_path, "business_accounts"))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "crm_contacts.csv").write_text(f"{CRM_HEADER},phone\n")
    with pytest.raises(SeedError, match="has the column phone twice"):
        read_seed(tmp_path, "crm_contacts")


def test_an_account_that_ends_before_it_begins_is_refused(tmp_path):
    row = ACCOUNT | {"valid_from": "2026-05-01", "valid_to": "2026-04-01"}
    with pytest.raises(SeedError, match="line 2: valid_from is not before valid_to"):
        check_ownership(tmp_path / "business_accounts.csv", [(2, row)])
