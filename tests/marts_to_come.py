"""Marts that the pages read and the models do not make yet: to be taken out with their arrival."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.build import ROOT


def complete(path: Path) -> None:
    """Adds them to a published file, as the sample has them."""
    with duckdb.connect(str(path)) as published:
        published.execute(
            f"""
            create table if not exists marts.dim_business_number as
            select phone_number_id, portfolio_id, any_value(waba_id) as waba_id,
                '+55 11 4000-0' || right(phone_number_id, 3) as display_phone_number,
                (
                    select any_value(business_name) from read_csv('{ROOT}/seeds/business_accounts.csv',
                        all_varchar = true) as accounts
                    where accounts.waba_id = any_value(fct_message.waba_id)
                ) as business_name,
                min(occurred_at) as first_seen_at, max(occurred_at) as last_seen_at
            from marts.fct_message group by all
            """
        )
        columns = {
            "fct_message": {
                "delivery_status": "case when failed_at is not null then 'failed' "
                "when read_at is not null then 'read' when delivered_at is not null then 'delivered' "
                "when sent_at is not null then 'sent' end",
            },
            "phone_capture_worklist": {
                "ask_from_phone_number_id": "(select arg_max(phone_number_id, last_seen_at) "
                "from marts.bridge_customer_business_number as known "
                "where known.customer_key = phone_capture_worklist.customer_key)",
            },
        }
        for table, added in columns.items():
            there = {row[0] for row in published.execute(f"describe marts.{table}").fetchall()}
            for name, value in added.items():
                if name not in there:
                    published.execute(f"alter table marts.{table} add column {name} varchar")
                    published.execute(f"update marts.{table} set {name} = {value}")
