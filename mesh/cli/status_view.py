"""Renders the whole mesh: its nodes, what they are busy with, its models, problems and notes; pure."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures, model_view
from mesh.cli.canvas import (
    BAD,
    FAINT,
    GOOD,
    HEADING,
    WARNING,
    Canvas,
    Column,
    clip,
    labelled,
    paragraph,
    table,
)
from mesh.wire.control import NodeStatus, StatusReply
from mesh.wire.documents import Activity

_COLUMNS = (
    Column(title="NODE  *plans"),
    Column(title="BOARD", flexible=True),
    Column(title="STATE"),
    Column(title="LOAD", is_number=True),
    Column(title="TEMP", is_number=True),
    Column(title="FREE", is_number=True),
    Column(title="BROKER"),
    Column(title="RUNTIME"),
)
_NAME_CELLS = 16
_WIDE = 96
"""From this width on there is room for versions."""
_STATE_STYLES = {
    "ready": GOOD,
    "draining": WARNING,
    "lost": BAD,
    "suspect": BAD,
    "unheard": FAINT,
    "stopped": FAINT,
}
_BAR_CELLS = 20


def render(status: StatusReply, canvas: Canvas, *, trouble: str = "") -> str:
    """`trouble` is said on top: why this is not the newest."""
    return canvas.draw(_parts(status, canvas, trouble))


def _parts(status: StatusReply, canvas: Canvas, trouble: str) -> Iterator[RenderableType]:
    if trouble:
        yield paragraph(f"no answer now: {trouble}", style=BAD)
    yield _title(status)
    yield Text()
    is_wide = canvas.width >= _WIDE
    yield table(_COLUMNS, (_node_row(node, is_wide=is_wide) for node in status.nodes))
    busy = [(node, activity) for node in status.nodes for activity in node.activities]
    if busy:
        yield Text()
        yield Text("running", style=HEADING)
        yield labelled((_activity(canvas, *one) for one in busy), indent=2, label_style="")
    yield Text()
    names = {node.node_id: node.name for node in status.nodes}
    for i, model in enumerate(status.models):
        if i:
            yield Text()
        yield from model_view.model_parts(model, names, canvas)
    if not status.models:
        yield paragraph("no models yet; add one: mesh model add FILE.tflite")
    yield from _remarks(status)


def _title(status: StatusReply) -> Text:
    asked = next((node.name for node in status.nodes if node.node_id == status.asked), "")
    here = sum(node.state == "ready" for node in status.nodes)
    away = len(status.nodes) - here
    nodes = f"{figures.count(here, 'node')} ready" + (f", {away} not" if away else "")
    models = figures.count(len(status.models), "model")
    return Text.assemble(
        (f"mesh {status.mesh_name}", HEADING),
        (f" · {nodes} · {models} · asked {asked}", FAINT),
    )


def _node_row(node: NodeStatus, *, is_wide: bool) -> tuple[Text | str, ...]:
    missing = figures.MISSING
    mark = " *" if node.is_coordinator else ""
    speaks = node.state not in {"lost", "unheard"}
    load = node.load_1min if speaks else None
    return (
        Text.assemble(clip(node.name, _NAME_CELLS), (mark, HEADING)),
        node.board or missing,
        Text(node.state, style=_STATE_STYLES.get(node.state, WARNING)),
        missing if load is None else f"{load:.2f}",
        _heat(node) if speaks else missing,
        figures.memory(node.memory_available_bytes if speaks else None),
        _product(node.broker_kind, is_wide=is_wide),
        _product(node.runtime, is_wide=is_wide),
    )


def _heat(node: NodeStatus) -> Text:
    degrees = figures.temperature(node.temperature_c)
    return Text(f"{degrees}!", style=BAD) if node.throttled else Text(degrees)


def _product(text: str, *, is_wide: bool) -> str:
    """As "mosquitto 2.0.11"; the name alone where there is little room."""
    words = text.split(" ")[: 2 if is_wide else 1]
    return clip(" ".join(words), 2 * _NAME_CELLS if is_wide else _NAME_CELLS) or figures.MISSING


def _activity(canvas: Canvas, node: NodeStatus, activity: Activity) -> tuple[str, Text]:
    what = f"{activity.kind} {activity.model_name}"
    if activity.total <= 0:
        return node.name, Text(what)
    extent = (
        f"{figures.size(activity.done)} of {figures.size(activity.total)}"
        if activity.kind == "fetching"
        else f"{activity.done}/{activity.total}"
    )
    bar = canvas.bar(activity.done / activity.total, _BAR_CELLS)
    return node.name, Text.assemble(f"{what}  ", bar, f"  {extent}")


def _remarks(status: StatusReply) -> Iterator[RenderableType]:
    """What a reader should do something about, and what explains the figures."""
    lost = [node.name for node in status.nodes if node.state == "lost"]
    notes = [*status.notes]
    if lost:
        notes.insert(0, f"lost: {', '.join(lost)}; forgotten in 10 minutes unless seen again")
    if notes:
        yield Text()
        yield labelled((("note", note) for note in notes), label_style=WARNING)
