"""Where a command's words go: standard output for results, standard error for the rest."""

import dataclasses
import io
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO, TypeVar

from mesh.cli.canvas import Canvas

SCHEMA_VERSION = 1
"""Of every JSON object that a command prints."""
PLAIN_WIDTH = 80
MIN_WIDTH, MAX_WIDTH = 60, 120
MAX_TEXT_CHARS = 2000

T = TypeVar("T")


class Terminal:
    """Two streams and what they can show."""

    def __init__(self, out: TextIO, err: TextIO, environment: Mapping[str, str]) -> None:
        self.out = out
        self.err = err
        self.environment = environment
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):  # a C locale has no "µ": no reason to fail
                stream.reconfigure(errors="replace")

    @property
    def is_live(self) -> bool:
        """Whether results go to a terminal that can be redrawn."""
        return self._is_capable(self.out)

    @property
    def shows_progress(self) -> bool:
        return self._is_capable(self.err)

    @property
    def canvas(self) -> Canvas:
        """How results are drawn; asked anew each time, for a window may have changed its size."""
        return Canvas(
            width=self._width(),
            is_styled=self.is_live,
            has_colour=self.is_live and not self.environment.get("NO_COLOR"),
        )

    def show(self, text: str) -> None:
        """Print a result."""
        self.out.write(text if text.endswith("\n") else text + "\n")
        self.out.flush()

    def show_json(self, **members: Any) -> None:
        """Print a result for programs: one object, on one line."""
        self.show(json_line({"schema_version": SCHEMA_VERSION, "status": "ok"} | members))

    def note(self, text: str) -> None:
        """Say something that is not the result."""
        self.err.write(text + "\n")
        self.err.flush()

    def _is_capable(self, stream: TextIO) -> bool:
        return stream.isatty() and self.environment.get("TERM") != "dumb"

    def _width(self) -> int:
        wished = self.environment.get("COLUMNS", "")
        if wished.isdecimal() and int(wished) > 0:
            columns = int(wished)
        elif self.out.isatty():
            columns = _columns_of(self.out)
        else:
            columns = PLAIN_WIDTH
        return min(max(columns, MIN_WIDTH), MAX_WIDTH)


def real_terminal() -> Terminal:
    return Terminal(sys.stdout, sys.stderr, os.environ)


def json_line(value: Any) -> str:
    """ASCII only, so that no text from the network can steer a terminal; NaN and ∞ become null."""
    return json.dumps(_finite(value), allow_nan=False)


def clean(text: str) -> str:
    """Text from the network, fit for a terminal: no control or direction characters, bounded."""
    kept = (char if char.isprintable() else " " if char.isspace() else "" for char in text)
    return "".join(kept)[:MAX_TEXT_CHARS]


def cleaned(value: T) -> T:
    """A reply with every text in it cleaned."""
    return _cleaned(value)  # type: ignore[no-any-return]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return dataclasses.replace(
            value, **{f.name: _cleaned(getattr(value, f.name)) for f in fields}
        )
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _columns_of(stream: TextIO) -> int:
    try:
        # A serial console says 0.
        return os.get_terminal_size(stream.fileno()).columns or PLAIN_WIDTH
    except (OSError, ValueError):
        return PLAIN_WIDTH
