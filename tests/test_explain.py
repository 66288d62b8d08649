"""`make explain` tells who a customer is, why, and how to cut it, whatever identifier it is given."""

from __future__ import annotations

import pytest

from orchestration.explain import Unknown, explain
from orchestration.settings import Settings
from tests.build import ROOT


@pytest.fixture(scope="session")
def settings(published_sample) -> Settings:
    return published_sample


def test_a_rotation_is_explained_with_its_event_and_the_row_that_cuts_it(settings):
    text = explain(settings, "BR.2000000000000023")
    assert "Gabi Freire" in text
    assert "bsuid:BR.1000000000000023  --  bsuid:BR.2000000000000023" in text
    assert "R2" in text and "wamid.number-change-typed" in text
    assert "acme-travel/2026-09.jsonl:" in text
    assert (
        "100000000000001,bsuid,BR.1000000000000023,,bsuid,BR.2000000000000023,,cannot_link" in text
    )


def test_a_phone_in_any_format_leads_to_all_its_holders_today_s_first(settings):
    text = explain(settings, "+55 (11) 90000-0028")
    assert "leads to 2 customers" in text
    assert text.index("Otávio Neri") < text.index("Bruna Maia")


def test_a_national_format_is_read_as_the_customers_countries_dial_it(settings):
    assert "Otávio Neri" in explain(settings, "(11) 90000-0028")


@pytest.mark.parametrize("identifier", ["@Luna.Reis", "wamid.phone-only.1", "5511900000001"])
def test_usernames_messages_and_raw_phones_are_understood(settings, identifier):
    assert "Customer " in explain(settings, identifier)


def test_a_customer_key_explains_itself(settings):
    key = explain(settings, "BR.2000000000000023").split()[1]
    assert key in explain(settings, key)
    # the one that the README shows
    assert f"Customer {key} " in (ROOT / "README.md").read_text()


def test_the_webhook_that_an_explanation_names_leads_back_to_it(settings):
    key = explain(settings, "BR.2000000000000023").split()[1]
    assert key in explain(settings, "wamid.number-change-typed.5")


def test_a_message_without_a_customer_says_why(settings):
    with pytest.raises(Unknown, match="never_reached"):
        explain(settings, "wamid.never-reached.1")


def test_an_unknown_identifier_says_what_can_be_asked(settings):
    with pytest.raises(Unknown, match="a username"):
        explain(settings, "nobody at all")
