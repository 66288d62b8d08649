"""Text from webhooks on its way to a terminal: anybody may choose a name that would give it orders."""

import re

# C0 and C1 but tab and line feed, the marks that turn the direction of writing, and line ends of other alphabets
_ORDERS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]"
)


def inert(text: str) -> str:
    """The text with U+FFFD for whatever a terminal would obey instead of showing it."""
    return _ORDERS.sub("\ufffd", text)
