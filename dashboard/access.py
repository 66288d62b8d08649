"""Who may see the pages, and who may answer questions: Streamlit's own OIDC log-in, with two roles.

`secrets.toml` beside the pages' config.toml (or where Streamlit's `secrets.files` points) sets it up:

    [auth]                     # as of st.login: redirect_uri, cookie_secret, client_id, client_secret,
    ...                        # server_metadata_url
    [roles]
    viewers = ["*@example.com"]        # e-mail addresses or patterns; who is nowhere gets in nowhere
    deciders = ["rita@example.com"]    # may also answer questions
    claim = "groups"                   # optional: a claim that may name a role by itself,
    viewer = "support"                 # by this value
    decider = "support-leads"          # or that one

Without `[auth]` there are no roles: whoever sits at this computer may do both.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard.words import say
from orchestration.settings import UserError

LOCAL = {"localhost", "127.0.0.1", "::1"}


def section(name: str) -> Mapping[str, object]:
    """A table of secrets.toml; empty when there is none."""
    try:
        return st.secrets.get(name, {})
    except StreamlitSecretNotFoundError:
        return {}


def has_login() -> bool:
    return bool(section("auth"))


def role(person: Mapping[str, object], roles: Mapping[str, object]) -> str | None:
    """`decider`, `viewer` or None, from the claims of who logged in and the table `[roles]`.

    An address that the provider calls unverified counts for nothing.
    """
    email = str(person.get("email") or "").lower()
    if not email or person.get("email_verified", True) not in (True, "true"):
        return None
    claimed = person.get(str(roles.get("claim", ""))) or ()
    claimed = {claimed} if isinstance(claimed, str) else set(claimed)
    for name in ("decider", "viewer"):
        listed = roles.get(f"{name}s", ())
        if any(fnmatch(email, str(pattern).lower()) for pattern in listed):
            return name
        if roles.get(name) in claimed:
            return name
    return None


def check_address() -> None:
    """Raises UserError when others could reach pages that have no log-in."""
    address = st.get_option("server.address")
    if address not in LOCAL and not has_login():
        raise UserError(
            f"The dashboard listens on {address or 'all addresses'} and has no log-in: set up [auth] "
            "in dashboard/.streamlit/secrets.toml, or leave server.address at localhost."
        )


def decider() -> str | None:
    """The address of who is logged in and may answer; empty without log-in; None who may not."""
    if not has_login():
        return ""
    return st.user["email"] if role(st.user, section("roles")) == "decider" else None


def admitted() -> bool:
    """Whether this person may see the pages; if not, what to do is on the screen."""
    if not has_login():
        return True
    if not st.user.is_logged_in:
        st.title(say("app"))
        st.write(say("please_log_in"))
        st.button(say("log_in"), on_click=st.login, type="primary")
        return False
    if role(st.user, section("roles")) is None:
        st.error(say("not_invited", email=st.user.get("email", "?")))
        st.button(say("log_out"), on_click=st.logout)
        return False
    return True


def sidebar() -> None:
    """Who is logged in, and the way out; or that nobody else can get in."""
    if not has_login():
        st.caption(say("no_login"))
        return
    held = say(role(st.user, section("roles")))
    st.caption(say("logged_in", email=st.user["email"], role=held))
    st.button(say("log_out"), on_click=st.logout)
