"""Renders a plan's stages as a table, a line for each node; with bars it also says how busy each one is; pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import BAD, FAINT, GOOD, WARNING, Canvas, Cell, Column, table
from mesh.cli.plan_bottleneck import Column as Place
from mesh.cli.plan_bottleneck import Mark, mark_of, occupied_s
from mesh.wire.planned import PlannedNode, PlannedPart, PlanOption, PlanReply

_MARK = "▶"
_PLAIN_MARK = ">"
_NUMBER = Column(title="#", is_number=True)
_LAYERS = Column(title="LAYERS", is_number=True)
_NODE = Column(title="NODE", flexible=True)
_SHARE = Column(title="SHARE", is_number=True)
_COMPUTE = Column(title="COMPUTE", is_number=True)
_WAY_IN = Column(title="WAY IN", is_number=True)
_MEMORY = Column(title="MEMORY", is_number=True)
_OF_ROOM = Column(title="OF ROOM")

_ROOM_CELLS = 8
_WORST = 0.9
"""Of a node's room: more is told in another colour."""


def stages(plan: PlanReply, canvas: Canvas) -> RenderableType:
    """One line for each node: figures only, and how much of its room is taken."""
    is_shared = any(len(stage.replicas) > 1 for stage in plan.chosen.stages)
    columns = [Column(title=""), _NUMBER, _LAYERS, _NODE, *([_SHARE] if is_shared else [])]
    rows = _figure_rows(plan, canvas, is_shared=is_shared)
    return table([*columns, _COMPUTE, _WAY_IN, _MEMORY, _OF_ROOM], rows)


def stages_with_bars(plan: PlanReply, canvas: Canvas) -> RenderableType:
    """Two lines for each node: figures, and under them bars that say how busy it is at full pace."""
    columns = [Column(title=""), _NUMBER, _LAYERS, _NODE, _COMPUTE, _WAY_IN, _MEMORY]
    return table(columns, _bar_rows(plan, canvas))


def _figure_rows(plan: PlanReply, canvas: Canvas, *, is_shared: bool) -> Iterator[tuple[Cell, ...]]:
    option, mark = plan.chosen, mark_of(plan.chosen, plan.gateway)
    for i, stage in enumerate(option.stages):
        for j, node in enumerate(stage.replicas):
            compute, way_in = _marked(mark, i, node)
            yield (
                _pointer(canvas, is_hit=mark.hits(i, node.node_id)),
                *_place(i, j, stage),
                node.node_name,
                *([_share(stage, node)] if is_shared else []),
                Text(figures.milliseconds(node.compute_s), style=compute),
                Text(_way(node.receive_s), style=way_in),
                figures.mebibytes(node.memory_bytes),
                _room(node, canvas),
            )
    if option.exit_s > 0:
        yield (
            _pointer(canvas, is_hit=mark.is_way_out(option)),
            *("", "reply", f"to {plan.gateway_name}", *([""] if is_shared else []), ""),
            Text(figures.milliseconds(_way_out_s(option)), style=_way_out_style(mark, option)),
        )


def _bar_rows(plan: PlanReply, canvas: Canvas) -> Iterator[tuple[Cell, ...]]:
    option, mark = plan.chosen, mark_of(plan.chosen, plan.gateway)
    bars = _Bars(canvas=canvas, cells=_bar_cells(plan, canvas), period_s=option.bottleneck_s)
    for i, stage in enumerate(option.stages):
        for j, node in enumerate(stage.replicas):
            compute, way_in = _marked(mark, i, node)
            yield (
                _pointer(canvas, is_hit=mark.hits(i, node.node_id)),
                *_place(i, j, stage),
                _named(node, is_alone=len(stage.replicas) == 1),
                bars.compute(node, compute),
                bars.way(node.receive_s, node.share, way_in),
                bars.memory(node),
            )
    if option.exit_s > 0:
        style = _way_out_style(mark, option)
        yield (
            _pointer(canvas, is_hit=mark.is_way_out(option)),
            *("", "reply", f"to {plan.gateway_name}", ""),
            bars.way(_way_out_s(option), 1.0, style),
            "",
        )


def _way_out_s(option: PlanOption) -> float:
    """What a reply takes of the gateway's way in, on the average."""
    return math.fsum(node.share * node.send_s for node in option.stages[-1].replicas)


def _bar_cells(plan: PlanReply, canvas: Canvas) -> int:
    """As wide as three bars may be beside the names."""
    words = [node.node_name for stage in plan.chosen.stages for node in stage.replicas]
    if plan.chosen.exit_s > 0:
        words.append(f"to {plan.gateway_name}")
    if any(len(stage.replicas) > 1 for stage in plan.chosen.stages):
        words.append("50% of requests")
    names = min(20, max(map(len, words)))
    return min(20, max(13, (canvas.width - 24 - names) // 3))


def _place(i: int, j: int, stage: PlannedPart) -> tuple[str, str]:
    """A stage's number and layers stand on its first line only."""
    return ("", "") if j else (str(i + 1), figures.layers(stage.start, stage.stop))


def _named(node: PlannedNode, *, is_alone: bool) -> Text:
    share = "" if is_alone else f"{figures.share(node.share)} of requests"
    return Text.assemble(node.node_name, "\n", (share, FAINT))


def _share(stage: PlannedPart, node: PlannedNode) -> str:
    """Of the requests; nothing where it has all of them."""
    return figures.share(node.share) if len(stage.replicas) > 1 else ""


def _way(seconds: float) -> str:
    """A node hands over to itself in no time."""
    return figures.milliseconds(seconds) if seconds > 0 else figures.MISSING


def _pointer(canvas: Canvas, *, is_hit: bool) -> Text:
    pointer = _MARK if canvas.is_styled else _PLAIN_MARK
    return Text(pointer if is_hit else "", style=BAD)


def _marked(mark: Mark, i: int, node: PlannedNode) -> tuple[str, str]:
    """The styles of the compute and of the way in."""
    if not mark.hits(i, node.node_id):
        return "", ""
    return (BAD, "") if mark.column is Place.COMPUTE else ("", BAD)


def _way_out_style(mark: Mark, option: PlanOption) -> str:
    return BAD if mark.is_way_out(option) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bars:
    """How bars are drawn in one plan."""

    canvas: Canvas
    cells: int
    period_s: float

    def compute(self, node: PlannedNode, style: str) -> Text:
        return self._time(node.compute_s, node.share * occupied_s(node), style)

    def way(self, seconds: float, share: float, style: str) -> Text:
        """In or out."""
        return self._time(seconds, share * seconds, style)

    def _time(self, seconds: float, occupied_s: float, style: str) -> Text:
        """What one request takes, and how busy that keeps whoever serves it at full pace."""
        if seconds <= 0:
            return Text(figures.MISSING)
        busy = occupied_s / self.period_s if self.period_s > 0 else 0.0
        return self._barred(figures.milliseconds(seconds), busy, style)

    def memory(self, node: PlannedNode) -> Text:
        told = figures.mebibytes(node.memory_bytes)
        if not node.room_bytes:
            return Text(told)
        return self._barred(told, node.memory_bytes / node.room_bytes, "")

    def _barred(self, figure: str, share: float, style: str) -> Text:
        told = f"{figure} {figures.share(share):>4}"
        bar = self.canvas.bar(share, max(self.cells, len(told)), style or _style(share))
        return Text.assemble((told, style), "\n", bar)


def _room(node: PlannedNode, canvas: Canvas) -> Text:
    if not node.room_bytes:
        return Text(figures.MISSING)
    share = node.memory_bytes / node.room_bytes
    return Text.assemble(
        canvas.bar(share, _ROOM_CELLS, _style(share)), f" {figures.share(share):>4}"
    )


def _style(share: float) -> str:
    return GOOD if share < _WORST else WARNING
