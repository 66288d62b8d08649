"""Text from webhooks on its way to a terminal or a log: anybody may choose a name that would give orders."""

import io
import re
from typing import TextIO

# C0 and C1 but tab and line feed, the marks that turn the direction of writing, and line ends of other alphabets
_ORDERS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]"
)


def inert(text: str) -> str:
    """The text with U+FFFD for whatever a terminal would obey instead of showing it."""
    return _ORDERS.sub("\ufffd", text)


class InertOutput(io.TextIOBase):
    """In the place of standard output or error, for a library that prints by itself: all that is printed is inert."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.stream.write(inert(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


_IDENTIFIER = re.compile(
    r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{4,128}|(?<![0-9.])\+?[0-9]{8,15}(?![0-9])"
)


def without_identifiers(text: str) -> str:
    """The text with dots for what looks like a BSUID or a phone: for what is logged."""
    return _IDENTIFIER.sub("•••", text)
