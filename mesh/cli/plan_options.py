"""Renders plans side by side: the rivals of the chosen one, the front, and what would help most; pure."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import ACCENT, FAINT, GOOD, HEADING, Canvas, Cell, Column, paragraph, table
from mesh.ids import NodeId
from mesh.wire.planned import PlanHelp, PlannedPart, PlanOption, PlanReply

_RATE_CELLS = 12
_FIGURES_CELLS = 41
"""What a line of figures takes beside its title and its bar."""
_MAX_NAMES = 4
"""Nodes of a stage that are named; of more only the number is told."""

_RATE = Column(title="REQUESTS/S", is_number=True)
_LATENCY = Column(title="ANSWERS IN", is_number=True)
_PROOF = Column(title="PROOF")


def rivals(plan: PlanReply, canvas: Canvas) -> Iterator[RenderableType]:
    """The chosen plan and its rivals: figures on one line, who runs what under it."""
    shown = options(plan)
    fastest = max((rate_of(option) or 0.0 for option in shown), default=0.0)
    titles = [title(option) for option in shown] + [none.title for none in plan.missing]
    width = max(map(len, titles))
    cells = min(_RATE_CELLS, max(0, canvas.width - width - _FIGURES_CELLS))
    yield Text(f"   {'COMPARED':<{width}}  REQUESTS/S  {'':<{cells}}  ANSWERS IN  PROOF", FAINT)
    for option in shown:
        bar = _rate_bar(option, fastest, canvas, _rate_style(plan, option), cells)
        yield _figures_line(plan, option, width, bar.append(" " * (cells - len(bar))))
        yield paragraph(who_and_what(option), indent=5, style=FAINT)
    for none in plan.missing:
        yield Text(f"   {none.title:<{width}}  {'none':>10}")
        yield paragraph(none.reason, indent=5, style=FAINT)


def front(found: Sequence[PlanOption], canvas: Canvas) -> RenderableType:
    """From the soonest answers to the most requests; plans whose figures show as equal are told once."""
    columns = (
        Column(title="ANSWERS IN", is_number=True),
        _RATE,
        Column(title=""),
        _PROOF,
        Column(title="STAGES", wraps=True),
    )
    fastest = max((rate_of(option) or 0.0 for option in found), default=0.0)
    unlike = {(figures.milliseconds(one.latency_s), _rate(one)): one for one in found}
    rows = (
        (
            figures.milliseconds(option.latency_s),
            _rate(option),
            _rate_bar(option, fastest, canvas, ACCENT, _RATE_CELLS),
            proof(option),
            layout(option),
        )
        for option in unlike.values()
    )
    return table(columns, rows, indent=3)


def helps(plan: PlanReply) -> RenderableType:
    """What would help most, and how much."""
    columns = (
        Column(title="WHAT WOULD HELP MOST", wraps=True),
        _RATE,
        Column(title="", is_number=True),
        _LATENCY,
    )
    return table(columns, (_help(one, plan.chosen) for one in plan.helps), indent=3)


def rate_of(option: PlanOption) -> float | None:
    return figures.per_second(option.bottleneck_s)


def proof(option: PlanOption) -> str:
    """Whether a plan is known to be the best of its kind, or how much better one could be."""
    if option.optimal:
        return "optimal"
    return "not proven" if option.gap >= 1 else f"gap {option.gap:.1%}"


def layout(option: PlanOption) -> str:
    """As "pi5 → pi4-a + pi4-b → pi5-2"."""
    return " → ".join(_nodes(stage) for stage in option.stages)


def options(plan: PlanReply) -> tuple[PlanOption, ...]:
    """The chosen one by itself only where it is none of its rivals, as a live plan may be."""
    is_rival = any(is_same(option, plan.chosen) for option in plan.alternatives)
    return plan.alternatives if is_rival else (*plan.alternatives, plan.chosen)


def is_same(one: PlanOption, other: PlanOption) -> bool:
    """Whether the same nodes run the same layers."""
    return _assignment(one) == _assignment(other)


def _assignment(option: PlanOption) -> list[tuple[int, int, list[NodeId]]]:
    return [
        (stage.start, stage.stop, [node.node_id for node in stage.replicas])
        for stage in option.stages
    ]


def title(option: PlanOption) -> str:
    """What a plan is called beside others."""
    return "live now" if option.title == "live" else option.title


def _rate_style(plan: PlanReply, option: PlanOption) -> str:
    return GOOD if is_same(option, plan.chosen) else ACCENT


def _figures_line(plan: PlanReply, option: PlanOption, width: int, bar: Text) -> Text:
    is_chosen = is_same(option, plan.chosen)
    return Text.assemble(
        (" * " if is_chosen else "   ", HEADING),
        (f"{title(option):<{width}}", HEADING if is_chosen else ""),
        f"  {_rate(option):>10}  ",
        bar,
        f"  {figures.milliseconds(option.latency_s):>10}  ",
        proof(option),
    )


def who_and_what(option: PlanOption) -> str:
    """Its nodes in order, and what sets its pace."""
    return f"{layout(option)}; limited by {option.bottleneck}"


def _help(help_: PlanHelp, chosen: PlanOption) -> tuple[Cell, ...]:
    rate, now = help_.requests_per_s, rate_of(chosen)
    gain = f"×{rate / now:.2f}" if rate and now else ""
    told = figures.MISSING if rate is None else figures.rate(rate).split(" ")[0]
    return (help_.sentence, told, gain, figures.milliseconds(help_.latency_s))


def _rate(option: PlanOption) -> str:
    rate = rate_of(option)
    return figures.MISSING if rate is None else figures.rate(rate).split(" ")[0]


def _rate_bar(option: PlanOption, fastest: float, canvas: Canvas, style: str, cells: int) -> Text:
    rate = rate_of(option)
    return canvas.bar(rate / fastest, cells, style) if rate and fastest else Text()


def _nodes(stage: PlannedPart) -> str:
    if len(stage.replicas) <= _MAX_NAMES:
        return " + ".join(node.node_name for node in stage.replicas)
    return f"{len(stage.replicas)} nodes"
