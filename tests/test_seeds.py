"""The CRM list is refused with file, line and cure when its crosswalk would be ambiguous."""

from __future__ import annotations

import pytest

from orchestration.seeds import REQUIRED, SeedError, check_contacts, read_seed

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


def test_two_contacts_may_be_one_person(tmp_path):
    path = tmp_path / "crm_contacts.csv"
    path.write_text(CRM_HEADER + "\nC-1,P,1,,,Ana,\nC-2,P,1,,,Ana,\n")
    check_contacts(path, read_seed(tmp_path, "crm_contacts"))
