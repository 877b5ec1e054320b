"""Text from the network is tamed; widths and styles follow the terminal and the environment."""

import io
import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.terminal import MAX_TEXT_CHARS, Terminal, clean, cleaned, json_line
from mesh.wire.control import StatusReply


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_cleaned_text_is_printable_bounded_and_stays_clean(text: str) -> None:
    found = clean(text)
    assert found.isprintable()
    assert len(found) <= MAX_TEXT_CHARS
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in found)
    assert clean(found) == found


def test_line_breaks_become_blanks() -> None:
    assert clean("one\ntwo\tthree\x1b[2J") == "one two three[2J"


def test_a_whole_reply_is_cleaned(status: StatusReply) -> None:
    assert cleaned(status) == status
    assert "\x1b" not in repr(cleaned(("\x1b", status)))


@given(st.recursive(st.text() | st.floats() | st.integers() | st.none(), st.lists))
def test_json_is_one_line_of_ascii(value: Any) -> None:
    line = json_line({"value": value})
    assert line.isascii()
    assert "\n" not in line
    json.loads(line, parse_constant=pytest.fail)


def test_what_json_cannot_say_is_null() -> None:
    assert json.loads(json_line([math.nan, math.inf, (1.5, {"x": -math.inf})])) == [
        None,
        None,
        [1.5, {"x": None}],
    ]


@pytest.mark.parametrize(
    ("columns", "width"), [("", 80), ("100", 100), ("5", 60), ("9999", 120), ("x", 80)]
)
def test_width(columns: str, width: int) -> None:
    terminal = Terminal(io.StringIO(), io.StringIO(), {"COLUMNS": columns})
    assert terminal.canvas.width == width
    assert not terminal.canvas.is_styled


def test_a_terminal_is_styled_unless_told_otherwise() -> None:
    assert Terminal(Tty(), Tty(), {}).canvas.has_colour
    assert not Terminal(Tty(), Tty(), {"NO_COLOR": "1"}).canvas.has_colour
    assert Terminal(Tty(), Tty(), {"NO_COLOR": ""}).canvas.has_colour
    assert not Terminal(Tty(), Tty(), {"TERM": "dumb"}).canvas.is_styled
    assert Terminal(io.StringIO(), Tty(), {}).shows_progress
    assert not Terminal(io.StringIO(), Tty(), {}).is_live


def test_what_a_terminal_cannot_show_is_replaced() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Terminal(out, io.StringIO(), {}).show("12 µs")
    assert raw.getvalue() == b"12 ?s\n"


def test_results_end_with_one_line_break() -> None:
    out = io.StringIO()
    terminal = Terminal(out, io.StringIO(), {})
    terminal.show("one")
    terminal.show("two\n")
    terminal.show_json(three=3)
    assert out.getvalue() == 'one\ntwo\n{"schema_version": 1, "status": "ok", "three": 3}\n'
