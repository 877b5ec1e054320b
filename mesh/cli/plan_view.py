"""Renders a plan: its stages, its rivals, who is left out and why; pure."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import (
    FAINT,
    GOOD,
    HEADING,
    WARNING,
    Canvas,
    Cell,
    Column,
    labelled,
    paragraph,
    table,
)
from mesh.ids import NodeId
from mesh.wire.control import LeftOut, PlannedPart, PlanOption, PlanReply, StatusReply

_STAGES = (
    Column(title="STAGE", is_number=True),
    Column(title="NODE", flexible=True),
    Column(title="LAYERS", is_number=True),
    Column(title="COMPUTE", is_number=True),
    Column(title="WAY IN", is_number=True),
    Column(title="MEMORY", is_number=True),
    Column(title="OF FREE"),
)
_RIVALS = (
    Column(title="* chosen"),
    Column(title="NODES", wraps=True),
    Column(title="REQUESTS/S", is_number=True),
    Column(title="ANSWERS IN", is_number=True),
    Column(title="BOTTLENECK", wraps=True),
)
_BAR_CELLS = 10


def rooms(status: StatusReply) -> dict[NodeId, int]:
    """What each node could give to stages: what is free and what stages have already."""
    return {
        node.node_id: node.memory_available_bytes + node.stages_resident_bytes
        for node in status.nodes
        if node.memory_available_bytes is not None
    }


def render(plan: PlanReply, room_bytes: Mapping[NodeId, int], canvas: Canvas) -> str:
    """`room_bytes` as `rooms` gives it; nodes may be missing there."""
    return canvas.draw(_parts(plan, room_bytes, canvas))


def _parts(
    plan: PlanReply, room_bytes: Mapping[NodeId, int], canvas: Canvas
) -> Iterator[RenderableType]:
    nodes = len({part.node_id for part in plan.chosen.stages})
    layers = figures.count(plan.operators, "layer")
    yield Text.assemble(
        (plan.name, HEADING),
        (f"  {layers} in {figures.count(len(plan.chosen.stages), 'stage')}", ""),
        (f" on {figures.count(nodes, 'node')}", ""),
    )
    rows = (_stage_row(i, part, room_bytes, canvas) for i, part in enumerate(plan.chosen.stages))
    yield table(_STAGES, rows, indent=2)
    yield labelled(_figures(plan), indent=2)
    yield Text()
    yield table(_RIVALS, (_rival(plan, option) for option in _options(plan)), indent=2)
    if plan.left_out:
        yield Text()
        yield Text("  left out", style=FAINT)
        yield labelled(_left_out(plan.left_out), indent=4, label_style="")
    if plan.limited:
        yield Text()
        yield Text("  cannot run every layer", style=FAINT)
        yield labelled(_left_out(plan.limited), indent=4, label_style="")
    yield Text()
    yield paragraph(_sentence(plan.verdict), style=HEADING)


def _stage_row(
    i: int, part: PlannedPart, room_bytes: Mapping[NodeId, int], canvas: Canvas
) -> tuple[Cell, ...]:
    room = room_bytes.get(part.node_id)
    return (
        str(i + 1),
        part.node_name,
        figures.layers(part.start, part.stop),
        figures.milliseconds(part.compute_s),
        figures.milliseconds(part.transfer_s),
        figures.mebibytes(part.memory_bytes),
        _memory(part.memory_bytes, room, canvas) if room else figures.MISSING,
    )


def _memory(needed_bytes: int, room_bytes: int, canvas: Canvas) -> Text:
    share = needed_bytes / room_bytes
    style = GOOD if share < 0.75 else WARNING
    return Text.assemble(canvas.bar(share, _BAR_CELLS, style), f" {share:4.0%}")


def _figures(plan: PlanReply) -> Iterator[tuple[str, Cell]]:
    chosen = plan.chosen
    predicted = figures.per_second(chosen.bottleneck_s)
    yield "bottleneck", f"{chosen.bottleneck}, {figures.milliseconds(chosen.bottleneck_s)}"
    yield (
        "predicted",
        f"{figures.rate(predicted)}, answers in {figures.milliseconds(chosen.latency_s)}",
    )
    if plan.live_epoch is None:
        yield "live", "not yet: no plan serves this model"
    elif plan.measured_requests_per_s is None:
        yield "live", f"epoch {plan.live_epoch}; no requests at this node in the last minute"
    else:
        yield "live", f"epoch {plan.live_epoch}, measured {_measured(plan, predicted)}"


def _measured(plan: PlanReply, predicted: float | None) -> str:
    measured = plan.measured_requests_per_s or 0.0
    share = f", {measured / predicted:.0%} of what is predicted" if predicted else ""
    return f"{figures.rate(measured)} in the last minute{share}"


def _options(plan: PlanReply) -> tuple[PlanOption, ...]:
    """The rivals; the chosen one by itself only where it is none of them (a split that was forced)."""
    is_rival = any(option.stages == plan.chosen.stages for option in plan.alternatives)
    return plan.alternatives if is_rival else (plan.chosen, *plan.alternatives)


def _rival(plan: PlanReply, option: PlanOption) -> tuple[Cell, ...]:
    is_chosen = option.stages == plan.chosen.stages
    names = dict.fromkeys(part.node_name for part in option.stages)
    rate = figures.per_second(option.bottleneck_s)
    return (
        Text.assemble(option.title, (" *" if is_chosen else "", HEADING)),
        " → ".join(names),
        figures.MISSING if rate is None else figures.rate(rate).split(" ")[0],
        figures.milliseconds(option.latency_s),
        option.bottleneck,
    )


def _left_out(left_out: Iterable[LeftOut]) -> Iterator[tuple[str, Cell]]:
    for one in left_out:
        yield one.node_name, one.reason.removeprefix(f"{one.node_name} ")


def _sentence(text: str) -> str:
    """Verdicts begin small, for they stand within other sentences too."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
