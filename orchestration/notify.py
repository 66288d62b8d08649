"""Tells somebody of a failed run: the log always, Slack and e-mail where the settings name them."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from orchestration.settings import Settings

TIMEOUT_SECONDS = 10


def slack(settings: Settings, text: str) -> None:
    """Post to an incoming webhook."""
    request = urllib.request.Request(
        settings.notify_slack_url,
        json.dumps({"text": text}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()


def email(settings: Settings, text: str) -> None:
    """Send by NOTIFY_SMTP_URL: smtp://host, smtps://user:password@host:port."""
    url = urlsplit(settings.notify_smtp_url)
    message = EmailMessage()
    message["Subject"] = "WhatsApp customer identity: " + text.splitlines()[0][:100]
    message["From"] = message["To"] = settings.notify_email
    message.set_content(text)
    client = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
    with client(url.hostname or "localhost", url.port or 0, timeout=TIMEOUT_SECONDS) as server:
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)


# The setting that turns it on -> what tells.
NOTIFIERS: dict[str, Callable[[Settings, str], None]] = {
    "notify_slack_url": slack,
    "notify_email": email,
}


def notify(settings: Settings, text: str) -> list[str]:
    """Tell all whom the settings name; returns what could not be told, in words. Never raises."""
    failed = []
    for setting, tell in NOTIFIERS.items():
        if getattr(settings, setting):
            try:
                tell(settings, text)
            except (OSError, ValueError, smtplib.SMTPException) as error:
                failed.append(f"{setting.upper()} could not be told: {error}")
    return failed
