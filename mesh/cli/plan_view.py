"""Renders a plan as text: in short, or explained against its rivals and what was measured; pure."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures, plan_options, plan_stages
from mesh.cli.canvas import FAINT, HEADING, Canvas, Cell, Column, labelled, paragraph, table
from mesh.wire.planned import LeftOut, LivePlan, PlanReply

_MEASURED = (
    Column(title="PREDICTED AGAINST MEASURED", flexible=True),
    Column(title="PREDICTED", is_number=True),
    Column(title="MEASURED", is_number=True),
    Column(title=""),
)


def render(plan: PlanReply, canvas: Canvas) -> str:
    """In short: who runs what, and what to expect of it."""
    return canvas.draw(_short(plan, canvas))


def render_explained(plan: PlanReply, canvas: Canvas) -> str:
    """Everything that there is to say, and the front where that was asked for."""
    front = [Text(), Text(), *_front(plan, canvas)] if plan.front else []
    return canvas.draw([*_explained(plan, canvas), *front])


def render_front(plan: PlanReply, canvas: Canvas) -> str:
    """The plans between the soonest answers and the most requests."""
    return canvas.draw([*_front(plan, canvas), *_supposed(plan)])


def _front(plan: PlanReply, canvas: Canvas) -> Iterator[RenderableType]:
    yield Text.assemble((plan.name, HEADING), "  sooner answers, or more of them")
    yield Text()
    yield plan_options.front(plan.front, canvas)


def _short(plan: PlanReply, canvas: Canvas) -> Iterator[RenderableType]:
    yield _heading(plan)
    yield plan_stages.stages(plan, canvas)
    yield labelled([*_figures(plan), *_who_is_left_out(plan)], indent=3)
    yield from _supposed(plan)
    yield Text()
    yield paragraph(_sentence(plan.verdict), style=HEADING)


def _explained(plan: PlanReply, canvas: Canvas) -> Iterator[RenderableType]:
    yield _heading(plan)
    yield plan_stages.stages_with_bars(plan, canvas)
    yield paragraph(_legend(plan), indent=3, style=FAINT)
    yield Text()
    yield labelled(_figures(plan), indent=3)
    yield Text()
    yield from plan_options.rivals(plan, canvas)
    if plan.helps:
        yield Text()
        yield plan_options.helps(plan)
    for note in plan.notes:
        yield paragraph(note, indent=3, style=FAINT)
    if measured := _measurements(plan):
        yield Text()
        yield table(_MEASURED, measured, indent=3)
    yield from _nodes("left out", plan.left_out)
    yield from _nodes("cannot run every layer", plan.limited)
    yield from _supposed(plan)
    yield Text()
    yield paragraph(_sentence(plan.verdict), style=HEADING)


def _supposed(plan: PlanReply) -> Iterator[RenderableType]:
    """What nobody measured, a sentence a line."""
    if plan.supposed:
        yield Text()
        yield Text("   supposed", style=FAINT)
    for sentence in plan.supposed:
        yield paragraph(sentence, indent=5)


def _heading(plan: PlanReply) -> Text:
    nodes = {node.node_id for stage in plan.chosen.stages for node in stage.replicas}
    return Text.assemble(
        (plan.name, HEADING),
        f"  {figures.count(plan.operators, 'layer')}",
        f" in {figures.count(len(plan.chosen.stages), 'stage')}",
        f" on {figures.count(len(nodes), 'node')}",
    )


def _legend(plan: PlanReply) -> str:
    rate = figures.per_second(plan.chosen.bottleneck_s)
    pace = f" at {figures.rate(rate)}" if rate else ""
    return f"bars: how busy each is{pace}, and how much of the memory that a node may give"


def _figures(plan: PlanReply) -> Iterator[tuple[str, Cell]]:
    chosen = plan.chosen
    rate = figures.per_second(chosen.bottleneck_s)
    every = figures.milliseconds(chosen.bottleneck_s)
    yield "bottleneck", f"{chosen.bottleneck}: one request every {every}"
    yield (
        "predicted",
        f"{figures.rate(rate)}, answers in {figures.milliseconds(chosen.latency_s)}{_proof(plan)}",
    )
    if plan.least_requests_per_s and plan.most_requests_per_s:
        yield "likely", _likely(plan.least_requests_per_s, plan.most_requests_per_s)
    if plan.latency_bound_s is not None:
        yield "bound", f"answers within {figures.milliseconds(plan.latency_bound_s)}"
    if plan.from_mesh:
        yield "live", _live(plan)
    for sentence in plan.corrections:
        yield "corrected", sentence
    for note in chosen.notes:
        yield "note", note


def _likely(least: float, most: float) -> str:
    """Between what a plan gives if all that is supposed is slow, and if it is fast."""
    if figures.rate(least) == figures.rate(most):
        return f"{figures.rate(most)} all the same: nothing that is supposed sets the pace"
    number = figures.rate(least).split(" ")[0]
    return f"from {number} to {figures.rate(most)}, since not all was measured"


def _who_is_left_out(plan: PlanReply) -> Iterator[tuple[str, Cell]]:
    if plan.left_out:
        names = ", ".join(one.node_name for one in plan.left_out)
        yield "left out", f"{names}; --explain says why"


def _proof(plan: PlanReply) -> str:
    if plan.chosen.optimal:
        return "; proven optimal"
    return f"; gap to the proven bound {plan.chosen.gap:.1%}" if plan.chosen.gap < 1 else ""


def _live(plan: PlanReply) -> str:
    if plan.live is None:
        return "not yet: no plan serves this model"
    reason = f" ({plan.live.reason})" if plan.live.reason else ""
    if plan.chosen.title != "live":
        return f"epoch {plan.live.epoch} serves now; this is what would be planned"
    if plan.live.requests_per_s is None:
        return f"epoch {plan.live.epoch}{reason}; no requests in the last seconds"
    return f"epoch {plan.live.epoch}{reason}; {figures.rate(plan.live.requests_per_s)} now"


def _measurements(plan: PlanReply) -> list[tuple[Cell, ...]]:
    if plan.live is None or plan.chosen.title != "live":
        return []
    return list(_measured(plan, plan.live))


def _measured(plan: PlanReply, live: LivePlan) -> Iterator[tuple[Cell, ...]]:
    """What was measured; a rate below the predicted one may only say that no more was asked."""
    chosen = plan.chosen
    rate = figures.per_second(chosen.bottleneck_s)
    if live.requests_per_s is not None:
        numbers = (_number(rate), _number(live.requests_per_s))
        yield "requests/s, as many as are asked", *numbers, _ratio(live.requests_per_s, rate)
    if live.latency_s is not None:
        yield _times("answers in, waiting included", chosen.latency_s, live.latency_s)
    for i, stage in enumerate(chosen.stages):
        for node in stage.replicas:
            if node.measured_compute_s is not None:
                what = f"compute of stage {i + 1} on {node.node_name}"
                yield _times(what, node.compute_s, node.measured_compute_s)


def _times(what: str, predicted_s: float, measured_s: float) -> tuple[Cell, ...]:
    times = (figures.milliseconds(predicted_s), figures.milliseconds(measured_s))
    return what, *times, _ratio(measured_s, predicted_s)


def _number(requests_per_s: float | None) -> str:
    return figures.MISSING if requests_per_s is None else figures.rate(requests_per_s).split(" ")[0]


def _ratio(measured: float, predicted: float | None) -> str:
    return f"{measured / predicted:.0%}" if predicted else ""


def _nodes(title: str, nodes: Iterable[LeftOut]) -> Iterator[RenderableType]:
    told = [(one.node_name, one.reason.removeprefix(f"{one.node_name} ")) for one in nodes]
    if told:
        yield Text()
        yield Text(f"   {title}", style=FAINT)
        yield labelled(told, indent=5, label_style="")


def _sentence(text: str) -> str:
    """Verdicts begin small, for they stand within other sentences too."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
