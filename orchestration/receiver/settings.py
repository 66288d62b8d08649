"""The settings of the receiver: read from the environment, or from files that systemd or a container hands over."""

import os
import socket
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from orchestration.settings import FilePath, SettingsError

CURES = {
    "landing_dir": "set it to the folder that takes the webhooks in",
    "app_secrets": "set it to the app secret of your Meta app (while it is rotated: both, with a comma)",
    "verify_token": "set it to a secret of your choice, and enter the same one in Meta's App Dashboard",
    "receiver_host": "give an address of this machine, such as 127.0.0.1",
    "receiver_port": "give a port from 0 to 65535 (0: any that is free)",
    "receiver_path": "give a path such as /webhook, without a slash at the end",
    "receiver_workers": "give a whole number of processes from 1 to 64",
    "receiver_queue_bytes": "give a size of 4MiB or more, such as 64MiB",
    "receiver_queue_requests": "give a whole number, 1 or more",
    "receiver_segment_bytes": "give a size of 1KiB or more, such as 64MiB",
    "receiver_segment_seconds": "give seconds above 0, such as 60",
    "receiver_body_seconds": "give seconds above 0, such as 30",
    "receiver_umask": "give 077 (only this user) or 027 (a shared group may read)",
}


def _split(text: Any) -> Any:
    """Secrets between commas; blanks around them, and empty ones, go."""
    if isinstance(text, str):
        return [part for secret in text.split(",") if (part := secret.strip())]
    return text


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Secret = Annotated[SecretStr, Field(min_length=1)]


class ReceiverSettings(BaseSettings):
    """All settings of the receiver. Raises SettingsError; no secret is ever in its text.

    Where CREDENTIALS_DIRECTORY is set (systemd's LoadCredential), a file `app_secrets` or
    `verify_token` in it is taken for what the environment does not have.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, hide_input_in_errors=True)

    # No default: the pipeline's is the sample, which nobody wants to receive into.
    landing_dir: FilePath
    app_secrets: Annotated[
        tuple[Secret, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)
    ]
    verify_token: Secret
    receiver_host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = (
        "127.0.0.1"
    )
    receiver_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    receiver_path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)+$")] = "/webhook"
    receiver_workers: Annotated[int, Field(ge=1, le=64)] = 1
    # Of each worker: what is being read or waits for the disk. Beyond it, 503.
    receiver_queue_bytes: Annotated[ByteSize, Field(ge=4 << 20)] = ByteSize(64 << 20)
    receiver_queue_requests: Annotated[int, Field(ge=1)] = 4096
    # A segment is shown to the loader when it is so large, or its first record so old.
    receiver_segment_bytes: Annotated[ByteSize, Field(ge=1 << 10)] = ByteSize(64 << 20)
    receiver_segment_seconds: Seconds = 60.0
    # So long may a client take to send one body.
    receiver_body_seconds: Seconds = 30.0
    receiver_umask: Annotated[str, StringConstraints(pattern=r"^0?[0-7][0-7][0-7]$")] = "077"

    def __init__(self, **values: Any) -> None:
        _refuse_unknown_variables()
        folder = os.environ.get("CREDENTIALS_DIRECTORY") or None
        try:
            super().__init__(_secrets_dir=folder, **values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = str(first["loc"][0])
            problem = "is not set" if first["type"] == "missing" else "is not usable"
            raise SettingsError(f"{name.upper()} {problem}: {CURES[name]}.") from None
        if not self.landing_dir.is_dir():
            problem = "is not a directory" if self.landing_dir.exists() else "does not exist"
            raise SettingsError(
                f"LANDING_DIR={self.landing_dir} {problem}: create it, or set LANDING_DIR to the "
                "folder that takes the webhooks in."
            )
        if not os.access(self.landing_dir, os.W_OK | os.X_OK):
            raise SettingsError(
                f"LANDING_DIR={self.landing_dir} cannot be written by this user: give it the right to."
            )
        try:
            socket.getaddrinfo(self.receiver_host, self.receiver_port)
        except OSError:
            raise SettingsError(f"RECEIVER_HOST is not usable: {CURES['receiver_host']}.") from None


def _refuse_unknown_variables() -> None:
    known = [name.upper() for name in ReceiverSettings.model_fields]
    for variable in os.environ:
        if variable.upper().startswith("RECEIVER_") and variable.upper() not in known:
            names = ", ".join(name for name in known if name.startswith("RECEIVER_"))
            raise SettingsError(f"{variable} is not a setting of the receiver: it has {names}.")
