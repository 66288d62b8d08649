"""The entry: log-in, language, what is published, and the pages. Started by `make dashboard`."""

from __future__ import annotations

from pathlib import Path

import duckdb
import streamlit as st

from dashboard import access, data, queries, words
from dashboard.words import say
from orchestration.settings import REPOSITORY, Settings, UserError
from orchestration.versions import published_path

GUIDES = {"en": "for-teams.md", "id": "untuk-tim.md"}


@st.fragment(run_every="3s")
def watch(shown: data.Version | None) -> None:
    """Run the page again when another version is published."""
    if data.version() != shown:
        st.rerun()


def languages() -> None:
    """The switch, which keeps its place and its name in both languages."""
    st.session_state.setdefault("language", words.language())
    st.sidebar.segmented_control(
        "Language / Bahasa",
        list(words.LANGUAGES),
        format_func=words.LANGUAGES.get,
        key="language",
        required=True,
        label_visibility="collapsed",
    )


def sidebar() -> None:
    """Which business, and how old what is shown is."""
    with st.sidebar:
        portfolios = list(data.rows(queries.PORTFOLIOS)["portfolio_id"])
        names = data.names()["portfolio_id"]
        st.selectbox(
            say("business"),
            [None, *portfolios],
            format_func=lambda portfolio: names.get(portfolio, portfolio) or say("all"),
            key="portfolio_id",
        )
        [published] = data.rows(queries.PUBLICATION).itertuples()
        st.caption(
            say(
                "published",
                as_of=words.moment(published.as_of),
                published_at=words.moment(published.published_at),
            )
        )
        if published.is_forced:
            st.caption(say("forced"))
        st.caption(say("phones_shown" if Settings.of_readers().show_pii else "phones_masked"))
        access.sidebar()


def guide() -> None:
    """The guide for teams, with its pictures, as the repository has it."""
    folder = REPOSITORY / "docs"
    for line in (folder / GUIDES[words.language()]).read_text(encoding="utf-8").split("\n\n"):
        if line.startswith("!["):
            label, _, path = line.strip()[2:-1].partition("](")
            st.image(folder / Path(path), caption=label)
        else:
            st.markdown(line)


def main() -> None:
    """Draw the page that was asked for, or say why there is none."""
    st.set_page_config(page_title="WhatsApp", layout="wide")
    languages()
    page = st.navigation(
        [
            st.Page("views/overview.py", title=say("overview"), default=True),
            st.Page("views/review.py", title=say("review"), url_path="review"),
            st.Page("views/capture.py", title=say("capture"), url_path="capture"),
            st.Page("views/customer.py", title=say("customer"), url_path="customer"),
            st.Page("views/numbers.py", title=say("numbers"), url_path="numbers"),
            st.Page("views/crm.py", title=say("crm"), url_path="crm"),
            st.Page(guide, title=say("guide"), url_path="guide"),
        ]
    )
    try:
        access.check_address()
        if not access.admitted():
            return
        shown = data.version()
        watch(shown)
        if shown is None:
            st.title(say("nothing_published"))
            st.write(say("nothing_published_help"))
            st.caption(say("looked_for", path=published_path(Settings.of_readers())))
            return
        sidebar()
        page.run()
    except UserError as error:
        st.error(str(error))
    except duckdb.Error as error:
        st.error(say("unreadable"))
        st.caption(str(error).splitlines()[0])


main()
