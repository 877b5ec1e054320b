"""Draws requests flowing through a plan as one self-contained SVG, and how its rivals compare; pure."""

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mesh.cli import figures, plan_options
from mesh.cli.canvas import clip
from mesh.cli.plan_bottleneck import Column, Mark, mark_of, occupied_s
from mesh.cli.plan_flow import Flow, Lane, Span, flow
from mesh.cli.svg_marks import line, rect, text, titled
from mesh.cli.terminal import clean
from mesh.wire.planned import PlannedNode, PlanOption, PlanReply

WIDTH, _LEFT, _RIGHT = 1080, 216, 108
_PLOT = WIDTH - _LEFT - _RIGHT
_MARGIN = 28
_LANES_TOP = 122
_STAGE_HEIGHT, _LANE_HEIGHT = 24, 44
_STRIP, _GAP, _BLOCK = 8, 2, 22
_COLOURS = 6
_CHAR_WIDTH = 6.4  # of the small type, roughly
_TICKS = 10
_MAX_NAME_CHARS, _MAX_LINE_CHARS = 24, 130
_RIVAL_PITCH, _RIVAL_BAR = 40, 400

_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1f2328}
.small{font-size:11px}.faint{fill:#59636e}.title{font-size:19px;font-weight:600}
.strong{font-weight:600}.alarm{fill:#b02a1c;font-weight:600}
.page{fill:#ffffff}.rule{stroke:#e4e8ec}.frame{stroke:#afb8c1}.measure{stroke:#59636e}
.lane{fill:#f6f8fa}.hot{fill:#fdeae6}.hotedge{fill:#d1432f}
.r0{fill:#7fb2ee}.r1{fill:#f2b872}.r2{fill:#86cfa5}.r3{fill:#e39ac5}.r4{fill:#b3a5ea}.r5{fill:#d9cb6b}
.way{fill-opacity:.62}.rest{fill-opacity:.38}.bar{fill:#c5d3e3}.chosen{fill:#2f74d0}.legend{fill:#9aa7b5}
""".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """The drawing's scale, and where its parts stand."""

    plan: PlanReply
    flow: Flow
    mark: Mark
    end_s: float
    lanes_foot: float
    has_way_out: bool

    @property
    def option(self) -> PlanOption:
        return self.plan.chosen

    def x(self, seconds: float) -> float:
        return _LEFT + _PLOT * seconds / self.end_s

    @property
    def height(self) -> float:
        rivals = len(_options(self.plan)) + len(self.plan.missing)
        return self.lanes_foot + 158 + _RIVAL_PITCH * rivals


def draw(plan: PlanReply) -> str:
    """The whole drawing, on a light background."""
    page = _page(plan)
    parts = (
        *_frame(page),
        *_legend(page),
        *_axis(page),
        *_lanes(page),
        *_measures(page),
        *_rivals(page),
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _page(plan: PlanReply) -> _Page:
    flowing = flow(plan.chosen)
    stages, lanes = len(plan.chosen.stages), len(flowing.lanes)
    has_way_out = plan.chosen.exit_s > 0
    foot = _LANES_TOP + stages * _STAGE_HEIGHT + lanes * _LANE_HEIGHT
    return _Page(
        plan=plan,
        flow=flowing,
        mark=mark_of(plan.chosen, plan.gateway),
        end_s=max(flowing.end_s, 1e-6),
        lanes_foot=foot + (_STAGE_HEIGHT + 16 if has_way_out else 0),
        has_way_out=has_way_out,
    )


def _frame(page: _Page) -> Iterator[str]:
    name, height = clip(clean(page.plan.name), 60), f"{page.height:.0f}"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">'
    )
    yield f"<title>{html.escape(name)}: requests flowing through its plan</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    yield text(_MARGIN, 38, name, "title")
    yield text(_MARGIN, 60, _summary(page.plan), "faint")


def _summary(plan: PlanReply) -> str:
    chosen = plan.chosen
    nodes = {node.node_id for stage in chosen.stages for node in stage.replicas}
    rate = figures.rate(figures.per_second(chosen.bottleneck_s))
    return " · ".join(
        (
            figures.count(plan.operators, "layer"),
            figures.count(len(chosen.stages), "stage"),
            figures.count(len(nodes), "node"),
            f"{rate} predicted",
            f"answers in {figures.milliseconds(chosen.latency_s)}",
            f"bottleneck: {clip(clean(chosen.bottleneck), 60)}",
        )
    )


def _legend(page: _Page) -> Iterator[str]:
    top = 80
    entries = (
        (rect("legend", _MARGIN, top, 22, 12), "a request's compute"),
        (rect("legend way", _MARGIN, top + 2, 22, _STRIP), "its way in or out"),
        *(
            [(rect("legend rest", _MARGIN, top + 3, 22, 6), "its messages, on the processor")]
            if any(occupied_s(lane.node) > lane.node.compute_s for lane in page.flow.lanes)
            else []
        ),
        (rect("hot", _MARGIN, top, 22, 12), "the bottleneck"),
    )
    x = 0.0
    for mark, label in entries:
        yield f'<g transform="translate({x:.0f} 0)">'
        yield mark
        yield text(_MARGIN + 29, top + 10, label, "small faint")
        yield "</g>"
        x += 58 + _CHAR_WIDTH * len(label)
    period = figures.milliseconds(page.option.bottleneck_s)
    yield text(
        WIDTH - _MARGIN, top + 10, f"a request comes every {period}", "small faint", anchor="end"
    )


def _axis(page: _Page) -> Iterator[str]:
    """Rules at round times, named under the lanes."""
    step_s = _step(page.end_s)
    unit, scale = ("s", 1.0) if step_s >= 1 else ("ms", 1e3) if step_s >= 1e-4 else ("µs", 1e6)
    for i in range(int(page.end_s / step_s + 1e-9) + 1):
        x = page.x(i * step_s)
        yield line("rule", (x, _LANES_TOP - 8), (x, page.lanes_foot + 4))
        yield text(
            x, page.lanes_foot + 18, f"{i * step_s * scale:g}", "small faint", anchor="middle"
        )
    yield text(_LEFT - 16, page.lanes_foot + 18, f"time in {unit}", "small faint", anchor="end")


def _step(end_s: float) -> float:
    """The least of 1, 2, 5, 10 … that gives at most ten rules."""
    power = 10.0 ** math.floor(math.log10(end_s / _TICKS))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit * _TICKS >= end_s * 0.999)


def _lanes(page: _Page) -> Iterator[str]:
    top, stage = float(_LANES_TOP), -1
    for lane in page.flow.lanes:
        if lane.stage != stage:
            stage = lane.stage
            yield text(_MARGIN, top + 16, _stage_name(page, stage), "small faint")
            top += _STAGE_HEIGHT
        yield from _lane(page, lane, top)
        top += _LANE_HEIGHT
    if page.has_way_out:
        yield from _way_out(page, top)


def _stage_name(page: _Page, i: int) -> str:
    stage = page.option.stages[i]
    layers = figures.layers(stage.start, stage.stop)
    if len(stage.replicas) == 1:
        return f"stage {i + 1} · layers {layers}"
    return f"stage {i + 1} · layers {layers} · {len(stage.replicas)} nodes take turns"


def _lane(page: _Page, lane: Lane, top: float) -> Iterator[str]:
    node, is_hot = lane.node, page.mark.hits(lane.stage, lane.node.node_id)
    name = clip(clean(node.node_name), _MAX_NAME_CHARS)
    height = _STRIP + _GAP + _BLOCK
    yield rect("hot" if is_hot else "lane", _LEFT, top - 3, _PLOT, height + 6)
    if is_hot:
        yield rect("hotedge", _LEFT - 4, top - 3, 4, height + 6)
    yield text(_LEFT - 16, top + 13, name, "strong", anchor="end")
    yield text(_LEFT - 16, top + 28, _told(node), "small faint", anchor="end")
    for span in lane.ways_in:
        yield from _span(page, span, top, _STRIP, f"on its way in to {name}", is_way=True)
    for span in lane.computes:
        yield from _messages(page, span, lane, top + _STRIP + _GAP)
        yield from _span(page, span, top + _STRIP + _GAP, _BLOCK, f"computed on {name}")
    busy = _busy(page, node)
    yield text(WIDTH - _RIGHT + 10, top + 14, f"busy {figures.share(busy)}", "small")
    for place, words in enumerate(_alarm(page) if is_hot else ()):
        yield text(WIDTH - _RIGHT + 10, top + 28 + 13 * place, words, "small alarm")


def _messages(page: _Page, span: Span, lane: Lane, top: float) -> Iterator[str]:
    """What a request's messages keep the processor beyond its compute."""
    stop_s = span.stop_s + occupied_s(lane.node) - lane.node.compute_s
    left, right = page.x(span.stop_s), min(page.x(stop_s), float(WIDTH - _RIGHT))
    if right - left > 1:
        style = f"r{span.request % _COLOURS} rest"
        yield rect(style, left, top + _BLOCK / 4, right - left - 0.5, _BLOCK / 2)


def _alarm(page: _Page) -> tuple[str, ...]:
    if page.mark.column is Column.WAY_IN:
        return ("the way in is", "the bottleneck")
    is_machine = page.option.bottleneck_kind == "machine"
    return ("the machine is", "the bottleneck") if is_machine else ("bottleneck",)


def _told(node: PlannedNode) -> str:
    told = figures.milliseconds(node.compute_s)
    if node.receive_s > 0:
        told += f", way in {figures.milliseconds(node.receive_s)}"
    return told if node.share >= 1 else f"{figures.share(node.share)} · {told}"


def _busy(page: _Page, node: PlannedNode) -> float:
    """The part of the time that it has something to do."""
    period_s = page.option.bottleneck_s
    return node.share * occupied_s(node) / period_s if period_s > 0 else 0.0


def _span(
    page: _Page, span: Span, top: float, height: float, what: str, *, is_way: bool = False
) -> Iterator[str]:
    left, right = page.x(span.start_s), min(page.x(span.stop_s), float(WIDTH - _RIGHT))
    if right - left <= 0:
        return
    style = f"r{span.request % _COLOURS}{' way' if is_way else ''}"
    marks = [rect(style, left + 0.5, top, right - left - 1, height)]
    number = str(span.request + 1)
    if not is_way and right - left > _CHAR_WIDTH * len(number) + 6:
        marks.append(
            text((left + right) / 2, top + height / 2 + 4, number, "small", anchor="middle")
        )
    took = figures.milliseconds(span.stop_s - span.start_s)
    start = figures.milliseconds(span.start_s)
    yield from titled(f"request {number} {what}: {took}, from {start} on", marks)


def _way_out(page: _Page, top: float) -> Iterator[str]:
    is_hot = page.mark.is_way_out(page.option)
    gateway = clip(clean(page.plan.gateway_name), _MAX_NAME_CHARS)
    y = top + 12
    yield rect("hot" if is_hot else "lane", _LEFT, y - 3, _PLOT, _STRIP + 10)
    if is_hot:
        yield rect("hotedge", _LEFT - 4, y - 3, 4, _STRIP + 10)
        yield text(WIDTH - _RIGHT + 10, y + 10, "bottleneck", "small alarm")
    told = f"reply to {gateway}, {figures.milliseconds(page.option.exit_s)}"
    yield text(_LEFT - 16, y + 10, told, "small faint", anchor="end")
    for span in page.flow.ways_out:
        yield from _span(page, span, y + 2, _STRIP, f"on its way to {gateway}", is_way=True)


def _measures(page: _Page) -> Iterator[str]:
    """The longest that a request takes, and the time between two answers."""
    y, period_s = page.lanes_foot + 40, page.option.bottleneck_s
    shown = [one for one in page.flow.replies_s if one <= page.end_s]
    took_s = [reply_s - i * period_s for i, reply_s in enumerate(shown)]
    slowest = next(i for i, one in enumerate(took_s) if one >= max(took_s) * 0.9999)
    words = f"request {slowest + 1} is answered after {figures.milliseconds(took_s[slowest])}"
    yield from _measure(page, (slowest * period_s, shown[slowest]), y, words)
    every = f"{figures.milliseconds(period_s)}: {figures.rate(figures.per_second(period_s))}"
    last = (max(0.0, page.end_s - period_s), page.end_s)
    yield from _measure(page, last, y + 20, f"an answer every {every}")


def _measure(page: _Page, times_s: tuple[float, float], y: float, words: str) -> Iterator[str]:
    """A line with ends, its words where there is room."""
    left, right = (page.x(seconds) for seconds in times_s)
    yield line("measure", (left, y), (right, y))
    for x in (left, right):
        yield line("measure", (x, y - 4), (x, y + 4))
    if right + 8 + _CHAR_WIDTH * len(words) < WIDTH - _MARGIN:
        yield text(right + 8, y + 4, words, "small")
    else:
        yield text(left - 8, y + 4, words, "small", anchor="end")


def _rivals(page: _Page) -> Iterator[str]:
    """The same model in other ways, to compare."""
    options = _options(page.plan)
    top = page.lanes_foot + 104
    fastest = max((plan_options.rate_of(one) or 0.0 for one in options), default=0.0)
    yield text(_MARGIN, top, "compared", "strong")
    for place, option in enumerate(options):
        yield from _rival(page, option, fastest, top + 26 + place * _RIVAL_PITCH)
    for place, none in enumerate(page.plan.missing, start=len(options)):
        y = top + 26 + place * _RIVAL_PITCH
        yield text(_LEFT - 16, y, none.title, "", anchor="end")
        yield text(_LEFT, y, clip(f"none: {clean(none.reason)}", _MAX_LINE_CHARS), "small faint")


def _options(plan: PlanReply) -> Sequence[PlanOption]:
    return plan_options.options(plan)


def _rival(page: _Page, option: PlanOption, fastest: float, y: float) -> Iterator[str]:
    rate = plan_options.rate_of(option)
    is_chosen = plan_options.is_same(option, page.option)
    width = _RIVAL_BAR * rate / fastest if rate and fastest else 0.0
    title = plan_options.title(option)
    yield text(_LEFT - 16, y, title, "strong" if is_chosen else "", anchor="end")
    yield rect("chosen" if is_chosen else "bar", _LEFT, y - 11, width, 14)
    told = (
        f"{figures.rate(rate)}, answers in {figures.milliseconds(option.latency_s)}, "
        f"{plan_options.proof(option)}"
    )
    yield text(_LEFT + width + 10, y, told, "small")
    who = clip(clean(plan_options.who_and_what(option)), _MAX_LINE_CHARS)
    yield text(_LEFT, y + 16, who, "small faint")
