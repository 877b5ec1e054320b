"""Growth curves as one SVG picture: small charts side by side, time on a logarithmic axis; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log10

from mesh.cli.svg_marks import line, text

WIDTH, HEIGHT, GAP, LEFT, TOP = 300.0, 220.0, 28.0, 64.0, 66.0
LEAST_S = 1e-3
COLOURS = ("#1f6feb", "#d1622b", "#2f8f4e")
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .title { font-size: 13px; font-weight: 600 }
  .faint { fill: #777 }
  .grid { stroke: #e4e4e4 }
  .budget { stroke: #b00020; stroke-dasharray: 4 3 }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One chart: seconds of each line at each size."""

    title: str
    sizes: tuple[int, ...]
    lines: Mapping[str, tuple[float, ...]]


def draw(curves: Sequence[Curve], *, budget_s: float) -> str:
    """A whole SVG document."""
    width = LEFT + len(curves) * (WIDTH + GAP)
    height = TOP + HEIGHT + 46
    marks = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<style>{STYLE}{_colours()}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *_legend(list(curves[0].lines), budget_s),
    ]
    for index, curve in enumerate(curves):
        marks += _chart(curve, LEFT + index * (WIDTH + GAP), budget_s, has_labels=index == 0)
    return "\n".join([*marks, "</svg>", ""])


def _colours() -> str:
    return "\n".join(
        f"  .line{i} {{ stroke: {colour}; stroke-width: 2 }} .dot{i} {{ fill: {colour} }}"
        for i, colour in enumerate(COLOURS)
    )


def _legend(names: list[str], budget_s: float) -> Iterator[str]:
    x = LEFT
    for i, name in enumerate(names):
        yield line(f"line{i}", (x, 18), (x + 22, 18))
        yield text(x + 28, 22, name)
        x += 60 + 6.6 * len(name)
    yield line("budget", (x, 18), (x + 22, 18))
    yield text(x + 28, 22, f"budget, {budget_s:g} s of a desktop's core")


def _chart(curve: Curve, left: float, budget_s: float, *, has_labels: bool) -> Iterator[str]:
    yield text(left + WIDTH / 2, TOP - 14, curve.title, "title", anchor="middle")
    for seconds in (1e-3, 1e-2, 1e-1, 1.0, 10.0):
        y = _y(seconds)
        yield line("grid", (left, y), (left + WIDTH, y))
        if has_labels:
            yield text(left - 8, y + 4, _duration(seconds), "faint", anchor="end")
    yield line("budget", (left, _y(budget_s)), (left + WIDTH, _y(budget_s)))
    places = [_x(left, curve, size) for size in curve.sizes]
    for place, size in zip(places, curve.sizes, strict=True):
        yield text(place, TOP + HEIGHT + 18, str(size), "faint", anchor="middle")
    for i, seconds_of in enumerate(curve.lines.values()):
        points = [(x, _y(s)) for x, s in zip(places, seconds_of, strict=True)]
        for start, end in pairwise(points):
            yield line(f"line{i}", start, end)
        for x, y in points:
            yield f'<circle class="dot{i}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'


def _x(left: float, curve: Curve, size: int) -> float:
    first, last = curve.sizes[0], curve.sizes[-1]
    return left + 14 + (WIDTH - 28) * (size - first) / (last - first)


def _y(seconds: float) -> float:
    """10 s at the top, a millisecond at the bottom."""
    decades = min(max(log10(max(seconds, LEAST_S) / LEAST_S), 0.0), 4.0)
    return TOP + HEIGHT * (1 - decades / 4)


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if floor(log10(seconds)) >= 0 else f"{seconds * 1e3:g} ms"
