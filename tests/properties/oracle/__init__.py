"""The identity rules in plain Python: an oracle for the warehouse.

Written from ``docs/identity-rules.md`` and the design, not from the SQL, and for reading: each rule
is one file bearing its number, quadratic where that is simplest. ``resolve`` reads landing records
and decides every portfolio on its own; only the enterprise groups (R9) look across.
"""

from .model import Node, Resolution, Variables
from .resolve import resolve
from .times import moment_text, utc

__all__ = ["Node", "Resolution", "Variables", "moment_text", "resolve", "utc"]
