"""Renders one model of the status: its live plan by stages, the bottleneck, what was measured; pure."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    HEADING,
    WARNING,
    Canvas,
    Cell,
    Column,
    labelled,
    table,
)
from mesh.ids import NodeId
from mesh.wire.control import ModelStatus, ReplicaLine
from mesh.wire.documents import StageState

_STAGE = Column(title="STAGE", is_number=True)
_NODE = Column(title="NODE", flexible=True)
_LAYERS = Column(title="LAYERS", is_number=True)
_SHARE = Column(title="SHARE", is_number=True)
_COMPUTE = Column(title="COMPUTE", is_number=True)
_BAR = Column(title="")
_MEASURED = Column(title="MEASURED", is_number=True)
_WAY_IN = Column(title="WAY IN", is_number=True)
_RESIDENT = Column(title="RESIDENT", is_number=True)
_STATE = Column(title="STATE")
_STATE_STYLES = {"serving": GOOD, "waiting for a node": BAD}
_STAGE_STYLES = {StageState.READY: GOOD, StageState.LOADING: WARNING, StageState.FAILED: BAD}
_BAR_CELLS = 10
_WIDE = 96
"""From this width on there is room for all columns."""


def model_parts(
    model: ModelStatus, names: Mapping[NodeId, str], canvas: Canvas
) -> Iterator[RenderableType]:
    """A heading, the stages, and the figures."""
    yield _heading(model)
    if model.stages:
        columns = _columns(model, canvas)
        yield table(columns, _rows(model, columns, canvas), indent=2)
    lines = [*_figures(model, names)]
    if lines:
        yield labelled(lines, indent=2)


def _heading(model: ModelStatus) -> Text:
    epoch = "" if model.epoch is None else f" · epoch {model.epoch}"
    held = figures.count(model.held_by, "node")
    return Text.assemble(
        (model.name, HEADING),
        "  ",
        (model.state, _STATE_STYLES.get(model.state, WARNING)),
        (f"{epoch} · {figures.size(model.size_bytes)}, held by {held}", FAINT),
    )


def _columns(model: ModelStatus, canvas: Canvas) -> tuple[Column, ...]:
    """Shares only where there are some, and measured times where they are told and there is room."""
    is_shared = len(model.replicas) > len(model.stages)
    is_wide = canvas.width >= _WIDE
    is_measured = is_wide and any(one.measured_compute_s is not None for one in model.replicas)
    shown = {_SHARE: is_shared, _BAR: is_wide or not is_shared, _MEASURED: is_measured}
    every = (
        *(_STAGE, _NODE, _LAYERS, _SHARE, _COMPUTE),
        *(_BAR, _MEASURED, _WAY_IN, _RESIDENT, _STATE),
    )
    return tuple(column for column in every if shown.get(column, True))


def _rows(
    model: ModelStatus, columns: tuple[Column, ...], canvas: Canvas
) -> Iterator[tuple[Cell, ...]]:
    slowest_s = max(one.compute_s for one in model.replicas)
    for i, stage in enumerate(model.stages):
        for j, replica in enumerate(stage.replicas):
            cells = _cells(replica, slowest_s, canvas)
            if j == 0:  # the stage's number and layers stand on its first line only
                cells |= {_STAGE: str(i + 1), _LAYERS: figures.layers(stage.start, stage.stop)}
            if len(stage.replicas) > 1:
                cells[_SHARE] = figures.share(replica.share)
            yield tuple(cells.get(column, "") for column in columns)


def _cells(replica: ReplicaLine, slowest_s: float, canvas: Canvas) -> dict[Column, Cell]:
    is_slowest = replica.compute_s == slowest_s
    share = replica.compute_s / slowest_s if slowest_s > 0 else 0.0
    return {
        _NODE: replica.node_name,
        _COMPUTE: figures.milliseconds(replica.compute_s),
        _BAR: canvas.bar(share, _BAR_CELLS, WARNING if is_slowest else ACCENT),
        _MEASURED: figures.milliseconds(replica.measured_compute_s),
        _WAY_IN: figures.milliseconds(replica.transfer_s),
        _RESIDENT: figures.mebibytes(replica.resident_bytes),
        _STATE: _state(replica),
    }


def _state(replica: ReplicaLine) -> Text:
    if replica.state is None:
        return Text("unknown", style=FAINT)
    return Text(replica.state.value, style=_STAGE_STYLES[replica.state])


def _figures(model: ModelStatus, names: Mapping[NodeId, str]) -> Iterator[tuple[str, Cell]]:
    if model.bottleneck is not None:
        where = figures.with_names(model.bottleneck, names)
        yield "bottleneck", f"{where}, {figures.milliseconds(model.bottleneck_s)}"
        rate = figures.rate(figures.per_second(model.bottleneck_s))
        yield "predicted", f"{rate}, answers in {figures.milliseconds(model.latency_s)}"
    if model.gap:
        yield "", Text(f"no plan is better by more than {_open_part(model.gap):.0%}", FAINT)
    if len(model.replicas) > 1:
        yield "single node", _alone(model)
    if model.stages:
        yield "measured", _measured(model)
        yield "requests", _requests(model)
    if model.reason:
        yield f"epoch {model.epoch}", figures.with_names(model.reason, names)
    if model.problem is not None:
        problem = figures.with_names(model.problem, names)
        is_passing = model.problem.startswith("not planned yet")
        yield "waiting" if is_passing else "problem", Text(problem, WARNING if is_passing else BAD)


def _open_part(gap: float) -> float:
    """What the gap leaves open, as a part of what was found."""
    return 1 / (1 - min(gap, 0.99)) - 1


def _alone(model: ModelStatus) -> str:
    alone = figures.per_second(model.single_node_s)
    if alone is None:
        return "none could run it alone"
    if not model.bottleneck_s or model.single_node_s is None:
        return figures.rate(alone)
    return f"{figures.rate(alone)}; this is {model.single_node_s / model.bottleneck_s:.2g}× that"


def _measured(model: ModelStatus) -> str:
    if model.requests_per_s <= 0:
        return "no requests in the last minute"
    rate = figures.rate(model.requests_per_s)
    if model.p50_s is None or model.p95_s is None:
        return rate
    p50, p95 = map(figures.milliseconds, (model.p50_s, model.p95_s))
    return f"{rate}, p50 {p50}, p95 {p95}"


def _requests(model: ModelStatus) -> Text:
    return Text.assemble(
        f"{model.answered:,} answered, ",
        (f"{model.failed:,} failed", BAD if model.failed else ""),
        f", {model.in_flight:,} in flight, {model.queued:,} queued"
        + (f", {figures.count(model.sessions, 'session')} open" if model.sessions else ""),
    )
