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
from mesh.wire.control import ModelStatus, StageLine
from mesh.wire.documents import StageState

_COLUMNS = (
    Column(title="STAGE", is_number=True),
    Column(title="NODE", flexible=True),
    Column(title="LAYERS", is_number=True),
    Column(title="COMPUTE", is_number=True),
    Column(title=""),
    Column(title="WAY IN", is_number=True),
    Column(title="RESIDENT", is_number=True),
    Column(title="STATE"),
)
_STATE_STYLES = {"serving": GOOD, "waiting for a node": BAD}
_STAGE_STYLES = {StageState.READY: GOOD, StageState.LOADING: WARNING, StageState.FAILED: BAD}
_BAR_CELLS = 10


def model_parts(
    model: ModelStatus, names: Mapping[NodeId, str], canvas: Canvas
) -> Iterator[RenderableType]:
    """A heading, the stages, and the figures."""
    yield _heading(model)
    if model.stages:
        slowest_s = max(stage.compute_s for stage in model.stages)
        rows = (_stage_row(i, stage, slowest_s, canvas) for i, stage in enumerate(model.stages))
        yield table(_COLUMNS, rows, indent=2)
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


def _stage_row(i: int, stage: StageLine, slowest_s: float, canvas: Canvas) -> tuple[Cell, ...]:
    is_slowest = stage.compute_s == slowest_s
    share = stage.compute_s / slowest_s if slowest_s > 0 else 0.0
    return (
        str(i + 1),
        stage.node_name,
        figures.layers(stage.start, stage.stop),
        figures.milliseconds(stage.compute_s),
        canvas.bar(share, _BAR_CELLS, WARNING if is_slowest else ACCENT),
        figures.milliseconds(stage.transfer_s),
        figures.mebibytes(stage.resident_bytes),
        _stage_state(stage),
    )


def _stage_state(stage: StageLine) -> Text:
    if stage.state is None:
        return Text("unknown", style=FAINT)
    return Text(stage.state.value, style=_STAGE_STYLES[stage.state])


def _figures(model: ModelStatus, names: Mapping[NodeId, str]) -> Iterator[tuple[str, Cell]]:
    if model.bottleneck is not None:
        where = figures.with_names(model.bottleneck, names)
        yield "bottleneck", f"{where}, {figures.milliseconds(model.bottleneck_s)}"
        rate = figures.rate(figures.per_second(model.bottleneck_s))
        yield "predicted", f"{rate}, answers in {figures.milliseconds(model.latency_s)}"
    if len(model.stages) > 1:
        yield "single node", _alone(model)
    if model.stages:
        yield "measured", _measured(model)
        yield "requests", _requests(model)
    if model.problem is not None:
        problem = figures.with_names(model.problem, names)
        is_passing = model.problem.startswith("not planned yet")
        yield "waiting" if is_passing else "problem", Text(problem, WARNING if is_passing else BAD)


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
