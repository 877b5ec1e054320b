"""Draws a model's chain of layers as one self-contained SVG: cost, weights, what crosses, where to cut; pure."""

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from mesh.cli import figures
from mesh.cli.canvas import clip
from mesh.cli.inspect_facts import Inspection, Layer, Stage
from mesh.cli.svg_marks import line, rect, text, titled
from mesh.cli.terminal import clean
from mesh.model import Boundary

WIDTH, _LEFT, _RIGHT = 1080, 92, 28
_PLOT = WIDTH - _LEFT - _RIGHT
_EFFORT_TOP, _EFFORT_FOOT = 112, 262
_WEIGHTS_FOOT = 322
_CROSS_TOP, _CROSS_FOOT = 362, 462
_TICKS_FOOT = 474
_ROWS_TOP, _ROW_PITCH, _ROW_HEIGHT = 516, 52, 26
_MAX_COLUMNS = 480
_AXIS_LABELS = 12
_STEPS = tuple(digit * 10**power for power in range(5) for digit in (1, 2, 5))
_MAX_NAME_CHARS = 70
_CHAR_WIDTH = 6.3  # of the small type, roughly

_FAMILIES = (
    ("conv", "convolution", ("CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE")),
    ("depth", "depthwise convolution", ("DEPTHWISE_CONV_2D",)),
    ("dense", "matrix product", ("FULLY_CONNECTED", "BATCH_MATMUL")),
)
_OTHER = ("other", "other operators", ())

# Classes rather than variables, which not every viewer knows; a viewer without media queries gets
# the light colours on a background of their own.
_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1f2328}
.small{font-size:11px}.halo{paint-order:stroke;stroke:#ffffff;stroke-width:5px;stroke-linejoin:round}
.faint{fill:#636c76}.title{font-size:19px;font-weight:600}
.page{fill:#ffffff}.rule{stroke:#d1d9e0}.mark{stroke:#cf222e;stroke-dasharray:3 3}
.conv{fill:#2f74d0}.depth{fill:#17998a}.dense{fill:#8b57d6}.other{fill:#8c959f}
.weights{fill:#d4a017}.cross{fill:#e0529c;fill-opacity:.22}.line{stroke:#d03a88;fill:none}
.legal{fill:#1a9c4b}.barred{fill:#cf222e;fill-opacity:.13}.stage{fill:#dbe7f8;stroke:#7ea6dd}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.page{fill:#0d1117}
.rule{stroke:#30363d}.mark{stroke:#ff7b72}.halo{stroke:#0d1117}.stage{fill:#1b2b44;stroke:#3f6aa8}
.cross{fill-opacity:.35}.barred{fill-opacity:.22}}
""".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """Neighbouring layers [start, stop) that are drawn as one bar."""

    start: int
    stop: int
    effort_share: float
    weight_bytes: int
    family: str
    name: str


def draw(found: Inspection) -> str:
    """The whole drawing; of long models, neighbouring layers share a bar."""
    height = _ROWS_TOP + _ROW_PITCH * (len(found.splits) - 1) + 44
    columns = _columns(found.layers)
    parts = (
        *_frame(found, height),
        *_barred(found),
        *_bars(found, columns),
        *_crossing(found),
        *_legal_ticks(found),
        *_axis(found),
        *_rows(found),
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _frame(found: Inspection, height: int) -> Iterator[str]:
    name = clip(clean(found.file), _MAX_NAME_CHARS)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">'
    )
    yield f"<title>{html.escape(name)}: its layers, and where it can be cut</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    yield text(_LEFT, 38, name, "title")
    yield text(_LEFT, 60, _summary(found), "faint")
    yield from _legend(found)


def _summary(found: Inspection) -> str:
    legal, places = len(found.legal_cuts), len(found.boundaries)
    cuts = (
        "cannot be cut"
        if not legal
        else f"can be cut at {'all ' if legal == places else f'{legal:,} of '}{places:,} places"
    )
    layers = figures.count(len(found.layers), "layer")
    weight_bytes = sum(kind.weight_bytes for kind in found.weights)
    return f"{layers} · {figures.size(weight_bytes)} of weights · {cuts}"


def _legend(found: Inspection) -> Iterator[str]:
    used = {_family(layer.name) for layer in found.layers}
    entries = [(style, label) for style, label, _ in (*_FAMILIES, _OTHER) if style in used]
    entries += [("weights", "weights"), ("line", "crossing"), ("legal", "cut is legal")]
    entries += [("barred", "no cut")] if found.uncuttable else []
    x = float(_LEFT)
    for style, label in entries:
        swatch = "cross" if style == "line" else style
        yield f'<rect class="{swatch}" x="{x:.1f}" y="77" width="11" height="11"/>'
        yield text(x + 16, 87, label, "small faint")
        x += 34 + _CHAR_WIDTH * len(label)


def _columns(layers: Sequence[Layer]) -> list[_Column]:
    width = -(-len(layers) // _MAX_COLUMNS)
    return [_column(start, layers[start : start + width]) for start in range(0, len(layers), width)]


def _column(start: int, layers: Sequence[Layer]) -> _Column:
    dearest = max(layers, key=lambda layer: layer.effort_share)
    more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
    return _Column(
        start=start,
        stop=start + len(layers),
        effort_share=sum(layer.effort_share for layer in layers),
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        family=_family(dearest.name),
        name=dearest.name + more,
    )


def _family(name: str) -> str:
    return next((style for style, _, names in _FAMILIES if name in names), _OTHER[0])


def _bars(found: Inspection, columns: Sequence[_Column]) -> Iterator[str]:
    """Effort upwards, weights downwards."""
    dearest = max(column.effort_share for column in columns)
    heaviest = max(column.weight_bytes for column in columns)
    for place, words in enumerate(("effort", "estimated", f"up to {_percent(dearest)}")):
        style = "small faint" if place else "small"
        yield text(_LEFT - 10, _EFFORT_TOP + 6 + 14 * place, words, style, anchor="end")
    yield text(_LEFT - 10, _EFFORT_FOOT + 16, "weights", "small", anchor="end")
    yield text(_LEFT - 10, _WEIGHTS_FOOT, figures.size(heaviest), "small faint", anchor="end")
    for column in columns:
        up = (_EFFORT_FOOT - _EFFORT_TOP) * _ratio(column.effort_share, dearest)
        down = (_WEIGHTS_FOOT - _EFFORT_FOOT) * _ratio(column.weight_bytes, heaviest)
        left, width = _span(found, column.start, column.stop, gap=0.15)
        marks = [rect(column.family, left, _EFFORT_FOOT - up, width, up)]
        marks += [rect("weights", left, _EFFORT_FOOT, width, down)] if down > 0 else []
        yield from titled(_told(column), marks)
    yield _rule(_EFFORT_FOOT)


def _told(column: _Column) -> str:
    where = figures.layers(column.start, column.stop)
    return (
        f"layer {where}: {clip(clean(column.name), _MAX_NAME_CHARS)}, "
        f"{column.effort_share:.1%} of the effort, {figures.size(column.weight_bytes)} of weights"
    )


def _crossing(found: Inspection) -> Iterator[str]:
    """What would cross each place, on a logarithmic scale, as steps around it."""
    scale = _LogScale.of([place.live_bytes for place in found.boundaries])
    yield text(_LEFT - 10, _CROSS_TOP - 13, "crossing", "small", anchor="end")
    for power in scale.powers:
        y = scale.y(1 << power)
        yield _rule(y)
        yield text(_LEFT - 10, y + 4, figures.size(1 << power), "small faint", anchor="end")
    steps = [
        (_x(found, start - 0.5), _x(found, stop + 0.5), scale.y(live_bytes))
        for start, stop, live_bytes in _merged(found.boundaries)
    ]
    if steps:
        top = " ".join(f"L{left:.1f} {y:.1f}H{right:.1f}" for left, right, y in steps)
        first, last = steps[0][0], steps[-1][1]
        yield f'<path class="cross" d="M{first:.1f} {_CROSS_FOOT}{top}L{last:.1f} {_CROSS_FOOT}Z"/>'
        yield f'<path class="line" d="M{top[1:]}"/>'
    yield _rule(_CROSS_FOOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogScale:
    """Heights for bytes, `least` to `most` as powers of two."""

    least: float
    most: float

    @classmethod
    def of(cls, sizes_bytes: Sequence[int]) -> "_LogScale":
        logs = [math.log2(size_bytes) for size_bytes in sizes_bytes if size_bytes] or [10.0]
        least = min(*logs, max(logs) - 2)
        return cls(least=least - 0.15 * (max(logs) - least), most=max(logs))

    def y(self, size_bytes: int) -> float:
        part = (math.log2(size_bytes) - self.least) / (self.most - self.least) if size_bytes else 0
        return _CROSS_FOOT - max(0.0, part) * (_CROSS_FOOT - _CROSS_TOP)

    @property
    def powers(self) -> range:
        """Up to four powers of two, evenly apart."""
        first, last = max(0, math.ceil(self.least)), math.floor(self.most)
        return range(first, last + 1, max(1, -(-(last - first) // 3)))


def _merged(places: Sequence[Boundary]) -> list[tuple[int, int, int]]:
    """(first, last, most bytes) of neighbouring places, of each alone where they are few."""
    width = -(-len(places) // _MAX_COLUMNS) or 1
    groups = [places[start : start + width] for start in range(0, len(places), width)]
    return [
        (group[0].layer, group[-1].layer, max(place.live_bytes for place in group))
        for group in groups
    ]


def _legal_ticks(found: Inspection) -> Iterator[str]:
    """A tick for each legal cut; bands where they stand too close to be told apart."""
    pitch = _PLOT / len(found.layers)
    for legal, same in groupby(found.boundaries, key=lambda place: place.obstacle is None):
        layers = [place.layer for place in same]
        if legal and pitch < 4:
            left, width = _span(found, layers[0] - 0.5, layers[-1] + 0.5)
            yield rect("legal", left, _CROSS_FOOT + 3, width, _TICKS_FOOT - _CROSS_FOOT - 3)
        elif legal:
            for layer in layers:
                yield rect("legal", _x(found, layer) - 1, _CROSS_FOOT + 3, 2, 9)


def _barred(found: Inspection) -> Iterator[str]:
    """The places where no cut is legal, with the reason to be read when one points there."""
    for region in found.uncuttable:
        left, width = _span(found, region.first - 0.5, region.last + 0.5)
        where = figures.layers(region.first, region.last + 1)
        reason = clip(clean(region.reason), 300)
        bar = rect("barred", left, _EFFORT_TOP, max(width, 1.5), _TICKS_FOOT - _EFFORT_TOP)
        yield from titled(f"no cut before layer {where}: {reason}", [bar])


def _axis(found: Inspection) -> Iterator[str]:
    """The numbers of some layers, each under its middle."""
    layers = len(found.layers)
    step = next(step for step in _STEPS if step * _AXIS_LABELS >= layers)
    yield text(_LEFT - 10, _TICKS_FOOT + 14, "layer", "small faint", anchor="end")
    for layer in range(0, layers, step):
        x = _x(found, layer + 0.5)
        yield text(x, _TICKS_FOOT + 14, f"{layer:,}", "small faint halo", anchor="middle")


def _rows(found: Inspection) -> Iterator[str]:
    """The even splits, one row each, with what crosses between two stages."""
    splits = [(_ROWS_TOP + row * _ROW_PITCH, stages) for row, stages in enumerate(found.splits[1:])]
    for top, stages in splits:
        yield from (_mark(_x(found, stage.start), top) for stage in stages[1:])
    for top, stages in splits:
        name = figures.count(len(stages), "stage")
        yield text(_LEFT - 10, top + 17, name, "small", anchor="end")
        for stage in stages:
            yield from _stage(found, stage, top)
        yield from _crossings(found, stages, top)
    foot = _ROWS_TOP + _ROW_PITCH * len(splits) + 24
    yield text(_LEFT, foot, _reading(found), "small faint")


def _mark(x: float, top: float) -> str:
    return line("mark", (x, _EFFORT_TOP), (x, top + _ROW_HEIGHT))


def _crossings(found: Inspection, stages: Sequence[Stage], top: float) -> Iterator[str]:
    """What crosses each cut, where there is room to say it."""
    reached = 0.0
    for stage in stages[1:]:
        x, words = _x(found, stage.start), figures.size(stage.received_bytes)
        half = _CHAR_WIDTH * len(words) / 2
        if x - half > reached:
            yield text(x, top + _ROW_HEIGHT + 13, words, "small faint halo", anchor="middle")
            reached = x + half


def _reading(found: Inspection) -> str:
    if len(found.splits) == 1:
        reason = found.uncuttable_reason or ""
        return clip(f"It runs whole only: {clean(reason)}", 150)
    return (
        "Even splits: each stage's share of the effort, and the memory it needs in LiteRT beside "
        "a bare interpreter; between two stages, what crosses."
    )


def _stage(found: Inspection, stage: Stage, top: float) -> Iterator[str]:
    left, width = _span(found, stage.start, stage.stop)
    layers = figures.layers(stage.start, stage.stop)
    share, memory = figures.share(stage.effort_share), figures.size(stage.memory_bytes["litert"])
    told = f"layers {layers}: {share} of the effort, {memory} of memory, "
    told += f"{figures.size(stage.weight_bytes)} of weights"
    marks = [rect("stage", left + 1, top, max(width - 2, 1), _ROW_HEIGHT)]
    for words in (f"{layers} · {share} · {memory}", f"{share} · {memory}", share):
        if len(words) * _CHAR_WIDTH + 8 < width:
            marks.append(text(left + width / 2, top + 17, words, "small", anchor="middle"))
            break
    yield from titled(told, marks)


def _x(found: Inspection, layer: float) -> float:
    return _LEFT + _PLOT * layer / len(found.layers)


def _span(found: Inspection, start: float, stop: float, *, gap: float = 0.0) -> tuple[float, float]:
    """Left edge and width of layers [start, stop), a part of a layer left free between bars."""
    left, right = _x(found, start), _x(found, stop)
    free = min(gap * _PLOT / len(found.layers), 3.0)
    return left + free / 2, right - left - free


def _percent(part: float) -> str:
    return figures.share(part) if part >= 0.1 else f"{part:.1%}"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _rule(y: float) -> str:
    return line("rule", (_LEFT, y), (WIDTH - _RIGHT, y))
