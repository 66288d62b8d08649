"""The entry: what is published, for which business, and the pages. Started by `make dashboard`."""

from __future__ import annotations

import duckdb
import streamlit as st

from dashboard import data, queries
from orchestration.versions import published_path
from orchestration.settings import Settings, UserError


@st.fragment(run_every="3s")
def watch(shown: data.Version | None) -> None:
    """Run the page again when another version is published."""
    if data.version() != shown:
        st.rerun()


def sidebar() -> None:
    """Which business, and how old what is shown is."""
    with st.sidebar:
        portfolios = list(data.rows(queries.PORTFOLIOS)["portfolio_id"])
        st.selectbox(
            "Business portfolio",
            [None, *portfolios],
            format_func=lambda portfolio: portfolio or "All",
            key="portfolio_id",
        )
        [published] = data.rows(queries.PUBLICATION).itertuples()
        st.caption(
            f"Webhooks up to {published.as_of:%Y-%m-%d %H:%M} UTC, published "
            f"{published.published_at:%Y-%m-%d %H:%M} UTC"
            + (", forced through the gate." if published.is_forced else ".")
        )
        if Settings.of_readers().show_pii:
            st.caption("Phone numbers are shown in full (SHOW_PII).")
        else:
            st.caption("Phone numbers are masked; SHOW_PII=1 shows them.")


def main() -> None:
    """Draw the page that was asked for, or say why there is none."""
    st.set_page_config(page_title="WhatsApp customer identity", layout="wide")
    page = st.navigation(
        [
            st.Page("views/overview.py", title="Overview", default=True),
            st.Page("views/numbers.py", title="Business numbers"),
            st.Page("views/customer.py", title="Customer"),
            st.Page("views/review.py", title="Review queue"),
            st.Page("views/capture.py", title="Phone capture"),
            st.Page("views/crm.py", title="CRM audit"),
        ]
    )
    try:
        shown = data.version()
        watch(shown)
        if shown is None:
            st.title("Nothing is published yet")
            st.write(
                "`make run` takes webhooks in and publishes them; this page then fills by itself."
            )
            st.caption(f"Looked for {published_path(Settings.of_readers())}")
            return
        sidebar()
        page.run()
    except UserError as error:
        st.error(str(error))
    except duckdb.Error as error:
        st.error(
            "The published file cannot be read as this version of the dashboard expects it: "
            "publish again with `make run`."
        )
        st.caption(str(error).splitlines()[0])


main()
