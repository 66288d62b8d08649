"""What stands between a phone number and a screen."""

from __future__ import annotations

import base64

import pandas as pd
import pytest

from dashboard import mask

PHONE = "5511900000023"
META_ID = "wamid." + base64.b64encode(b"\x1d\x0d" + PHONE.encode() + b"\x15\x02\x00AB12").decode()


@pytest.mark.parametrize(
    ("change", "value", "expected"),
    [
        (mask.phone, "+55 (11) 90000-0023", "+55 (••) •••••-••23"),
        (mask.phone, "911", "•••"),
        (mask.text, f"Ana {PHONE}", "Ana 55•••••••••23"),
        (mask.text, "Ana +55 11 90000-0023!", "Ana +55 •• •••••-••23!"),
        (mask.text, "BR.1000000000000023", "BR.1000000000000023"),
        (mask.text, "2026-04-07", "2026-04-07"),
        (mask.event, "wamid.number-change.5", "wamid.number-change.5"),
        (
            mask.event,
            "override:a02bb8ffd95be94fa06a0235cc6898ec",
            "override:a02bb8ffd95be94fa06a0235cc6898ec",
        ),
        (
            mask.node,
            f"phone:{PHONE}@2026-04-01 12:00:00Z",
            "phone:55•••••••••23@2026-04-01 12:00:00Z",
        ),
        (mask.node, "bsuid:BR.1000000000000023", "bsuid:BR.1000000000000023"),
        (
            mask.override,
            f"100000000000001,phone,{PHONE},2026-02-03,bsuid,BR.1,,must_link,,,,",
            "100000000000001,phone,55•••••••••23,2026-02-03,bsuid,BR.1,,must_link,,,,",
        ),
    ],
)
def test_only_phones_are_hidden(change, value, expected):
    assert change(value) == expected


def test_an_id_of_meta_s_making_carries_the_phone_in_base64_and_keeps_only_its_end():
    assert mask.event(META_ID) == f"wamid.…{META_ID[-8:]}"


def test_a_column_that_nobody_named_is_taken_for_free_text():
    rows = pd.DataFrame({"invented": [PHONE, None], "portfolio_id": ["100000000000001", None]})
    masked = mask.frame(rows)
    assert masked["invented"][0] == "55•••••••••23"
    assert masked["portfolio_id"][0] == "100000000000001"
    assert masked.isna().sum().sum() == 2


def test_a_typed_column_is_masked_by_its_type():
    rows = pd.DataFrame(
        {"left_type": ["phone", "waba", None], "left_value": [PHONE, "200000000000009", None]}
    )
    assert list(mask.frame(rows)["left_value"][:2]) == ["55•••••••••23", "200000000000009"]
