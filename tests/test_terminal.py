"""A name cannot give a terminal orders, and no identifier gets into a log."""

from __future__ import annotations

import pytest

from orchestration import cli
from orchestration.sql import Prompt, show
from orchestration.terminal import inert, without_identifiers

NAME = "Ana\x1b]0;owned\x07\x1b[2J\u202egro.live\x9b31m\r"


@pytest.mark.parametrize(
    "order",
    ["\x00", "\x08", "\x1b", "\r", "\x7f", "\x85", "\x9b", "\u061c", "\u2028", "\u202e", "\u2066"],
)
def test_what_a_terminal_obeys_is_shown_as_unknown(order):
    assert inert(f"a{order}b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["Célia 🙋🏽‍♀️", "متجر", "a\tb\nc", "•••"])
def test_names_of_every_alphabet_stay(text):
    assert inert(text) == text


def test_commands_print_nothing_else(capsys):
    import duckdb

    cli.say(NAME)
    cli.complain(NAME)
    name = " || ".join(f"chr({ord(letter)})" for letter in NAME)
    with duckdb.connect() as connection:
        show(connection, f"select {name} as name")
        Prompt(connection).runsource(f"select ({name})::integer;")  # the error quotes it
    told = capsys.readouterr()
    assert told.out.count("Ana") == 2 and told.err.count("Ana") == 2
    assert not {"\x1b", "\x07", "\u202e", "\x9b", "\r"} & {*told.out, *told.err}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'+5511900000028'", "'•••'"),
        ("key BR.1000000000000028!", "key •••!"),
        ("parent BR.ENT.1000000000000028", "parent •••"),
        ("Got 12 results, column 3", "Got 12 results, column 3"),
        ("2026-05-01 10:00:00", "2026-05-01 10:00:00"),
        ("6f617d2d7a202c746367f1d36581f9c5", "6f617d2d7a202c746367f1d36581f9c5"),
    ],
)
def test_what_is_logged_names_nobody(text, expected):
    assert without_identifiers(text) == expected
