"""Draws tables, bars and sentences as text of a given width, styled or plain; pure."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GOOD, WARNING, BAD = "green", "yellow", "bold red"
FAINT, HEADING, ACCENT = "dim", "bold", "cyan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Plain text has neither escape codes nor block characters."""

    width: int = 80
    is_styled: bool = False
    has_colour: bool = False

    def draw(self, parts: Iterable[RenderableType]) -> str:
        """One text, its lines at most `width` wide, without blanks at their ends."""
        out = io.StringIO()
        console = Console(
            file=out,
            width=self.width,
            force_terminal=self.is_styled,
            color_system="standard" if self.is_styled else None,
            no_color=not self.has_colour,
            force_jupyter=False,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
        )
        for part in parts:
            console.print(part)
        return "\n".join(line.rstrip(" ") for line in out.getvalue().rstrip("\n").split("\n"))

    def bar(self, share: float, cells: int, style: str = ACCENT) -> Text:
        """A share of 1 as a bar; anything above no zero has at least one cell."""
        share = min(max(share, 0.0), 1.0)
        full = min(cells, max(round(share * cells), 1 if share > 0 else 0))
        filled, empty = ("━", "━") if self.is_styled else ("#", ".")
        return Text.assemble((filled * full, style), (empty * (cells - full), FAINT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where the width does not suffice, `flexible` columns are cut short, or fold if they `wrap`."""

    title: str
    is_number: bool = False
    flexible: bool = False
    wraps: bool = False


Cell = str | Text


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, indent: int = 0
) -> RenderableType:
    """Columns under titles, two blanks apart, no lines."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=FAINT)
    for column in columns:
        grid.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=not (column.flexible or column.wraps),
            overflow="ellipsis",
        )
    for row in rows:
        grid.add_row(*map(_cell, columns, row))
    return Padding(grid, (0, 0, 0, indent), expand=False)


def paragraph(text: Cell, *, indent: int = 0, style: str = "") -> RenderableType:
    """A sentence, wrapped."""
    body = Text(text, style=style) if isinstance(text, str) else text
    return Padding(body, (0, 0, 0, indent), expand=False)


def labelled(
    lines: Iterable[tuple[str, Cell]], *, indent: int = 0, label_style: str = FAINT
) -> RenderableType:
    """Lines such as "measured   79 requests/s", long ones wrapped beside their label."""
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True, style=label_style)
    grid.add_column(overflow="fold")
    for label, line in lines:
        grid.add_row(Text(label), Text(line) if isinstance(line, str) else line)
    return Padding(grid, (0, 0, 0, indent), expand=False)


def clip(text: str, cells: int) -> str:
    """At most so many characters, the last one "…" where some are missing."""
    return text if len(text) <= cells else text[: cells - 1] + "…"


def _cell(column: Column, cell: Cell) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    if not column.wraps:
        text.no_wrap, text.overflow = True, "ellipsis"
    return text
