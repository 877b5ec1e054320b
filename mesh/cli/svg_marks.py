"""SVG elements as text: every word in them is escaped, every number rounded; pure."""

import html
from collections.abc import Iterable, Iterator


def rect(style: str, x: float, y: float, width: float, height: float) -> str:
    """A rectangle of a class; never so thin that it vanishes."""
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{max(width, 0.4):.1f}" height="{height:.1f}"/>'
    )


def text(x: float, y: float, words: str, style: str = "", *, anchor: str = "start") -> str:
    """Words at their baseline."""
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(words)}</text>"
    )


def line(style: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """A straight line between two points (x, y)."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def titled(title: str, marks: Iterable[str]) -> Iterator[str]:
    """Marks that say the title where one points at them."""
    yield f"<g><title>{html.escape(title)}</title>"
    yield from marks
    yield "</g>"
