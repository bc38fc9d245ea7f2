"""What is printed is plain in a pipe, and never moves a cursor."""

import io
import json
import sys
from decimal import Decimal

import pytest

from caudal.cli import screen


@pytest.mark.parametrize(("text", "shown"), [
    ("plain, with ñ and 日本", "plain, with ñ and 日本"), ("\x1b[2J", "\\x1b[2J"), ("two\nlines", "two\\nlines"),
    ("\u202egnp", "\\u202egnp"),
])
def test_characters_that_would_move_or_hide_something_are_escaped(text, shown):
    assert screen.printable(text) == shown


def test_a_table_in_a_pipe_is_aligned_text(capsys):
    screen.show_table(("name", "n"), [("a", "1"), ("long one", "1,000")], right=(1,))
    assert capsys.readouterr().out == "name          n\na             1\nlong one  1,000\n"


def test_a_table_without_rows_is_its_headings(capsys):
    screen.show_table(("name", "n"), [])
    assert capsys.readouterr().out == "name  n\n"


def test_json_has_exact_numbers(capsys):
    screen.show_json({"amount": Decimal("1.10"), "large": 2**63})
    assert json.loads(capsys.readouterr().out, parse_float=str) == {"amount": "1.10", "large": 2**63}


def test_all_is_written_even_if_each_write_takes_a_part(monkeypatch):
    class Narrow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:3]))

    out = Narrow()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
    screen.write(b"0123456789")
    assert out.getvalue() == b"0123456789"
    monkeypatch.undo()


def test_bars_and_steps_are_silent_when_nobody_looks(capsys):
    with screen.bytes_bar("file") as progress, screen.steps("training") as tell:
        progress(1, 2)
        tell("read")
    assert capsys.readouterr() == ("", "")
