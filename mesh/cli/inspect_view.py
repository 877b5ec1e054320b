"""Renders what a model file is and where it can be cut; pure."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import (
    ACCENT,
    FAINT,
    HEADING,
    WARNING,
    Canvas,
    Cell,
    Column,
    clip,
    labelled,
    paragraph,
    table,
)
from mesh.cli.inspect_facts import LEAST_SHARE, Cut, Inspection, OperatorKind, Stage, Uncuttable
from mesh.fleet.facts import INTERPRETER_BYTES
from mesh.model import TensorSpec

MAX_NAME_CHARS = 60
_MAX_ROWS = 12
_MAX_LABELS = 6
_MAX_REGIONS = 8
_BAR_CELLS = 20
_OPERATORS = (
    Column(title="OPERATOR", flexible=True),
    Column(title="COUNT", is_number=True),
    Column(title="WEIGHTS", is_number=True),
    Column(title="EFFORT", is_number=True),
    Column(title=""),
)
_TENSORS = (
    Column(title="", is_number=False),
    Column(title="NAME", flexible=True),
    Column(title="TYPE"),
    Column(title="SHAPE", flexible=True),
    Column(title="SIZE", is_number=True),
)
_CUTS = (
    Column(title="CUT BEFORE", is_number=True),
    Column(title="CROSSING", is_number=True),
    Column(title="EFFORT BEFORE", is_number=True),
    Column(title="TENSORS", flexible=True),
)
_STAGES = (
    Column(title="STAGES", is_number=True),
    Column(title="LAYERS", is_number=True),
    Column(title="EFFORT", is_number=True),
    Column(title="TAKES IN", is_number=True),
    Column(title="IN LITERT", is_number=True),
    Column(title="IN TFLITE", is_number=True),
    Column(title="WEIGHTS", is_number=True),
)
_FULL_WIDTH = 76


def render(found: Inspection, canvas: Canvas) -> str:
    return canvas.draw(_parts(found, canvas))


def _parts(found: Inspection, canvas: Canvas) -> Iterator[RenderableType]:
    yield _heading(found)
    yield labelled(_figures(found), indent=2)
    yield Text()
    yield table(_TENSORS, _tensor_rows(found), indent=2)
    yield Text()
    kinds = found.operators[:_MAX_ROWS]
    dearest = max((kind.effort_share for kind in kinds), default=0.0)
    yield table(_OPERATORS, (_operator_row(kind, dearest, canvas) for kind in kinds), indent=2)
    yield from _more(len(found.operators), "kind")
    yield Text()
    yield from _cutting(found)
    yield Text()
    shown = len(_STAGES) if canvas.width >= _FULL_WIDTH else len(_STAGES) - 1
    rows = (row[:shown] for row in _stage_rows(found.splits))
    yield table(_STAGES[:shown], rows, indent=2)
    yield paragraph(_reading(found), indent=2, style=FAINT)


def _heading(found: Inspection) -> Text:
    layers = figures.count(len(found.layers), "layer")
    return Text.assemble(
        (clip(found.file, MAX_NAME_CHARS), HEADING),
        f"  {layers}",
        (f" · {figures.size(found.size_bytes)} · id {found.model_id[:8]}", FAINT),
    )


def _figures(found: Inspection) -> Iterator[tuple[str, Cell]]:
    if found.description:
        yield "description", clip(found.description, 2 * MAX_NAME_CHARS)
    kinds = [f"{one.type_name.lower()} {figures.size(one.weight_bytes)}" for one in found.weights]
    yield "weights", ", ".join(kinds) or "none"
    if found.copied_operators:
        copies = figures.count(found.copied_operators, "operator")
        yield "unpacking", f"{copies} of constants only, copied into each slice that needs them"
    if found.signatures:
        yield "signatures", _listed([one.key or "(unnamed)" for one in found.signatures])
    if found.labels:
        listed = _listed(found.labels)
        yield "labels", f"{len(found.labels):,}: {listed}"
    if found.metadata_problem is not None:
        yield "metadata", Text(f"cannot be read: {found.metadata_problem}", WARNING)
    if found.state:
        pairs = [f"{pair.output.name} → {pair.input.name}" for pair in found.state]
        yield "state", f"kept between the requests of a session: {_listed(pairs)}"
    if found.keeps_hidden_state:
        yield "state", "keeps some inside the interpreter between the requests of a session"


def _listed(names: Sequence[str]) -> str:
    shown = [clip(name, MAX_NAME_CHARS) for name in names[:_MAX_LABELS]]
    return ", ".join([*shown, "…"] if len(names) > _MAX_LABELS else shown)


def _tensor_rows(found: Inspection) -> Iterator[tuple[Cell, ...]]:
    for what, specs in (("input", found.inputs), ("output", found.outputs)):
        for spec in specs[:_MAX_ROWS]:
            yield _tensor_row(what, spec)
        if len(specs) > _MAX_ROWS:
            yield ("", f"… and {len(specs) - _MAX_ROWS:,} more", "", "", "")


def _tensor_row(what: str, spec: TensorSpec) -> tuple[Cell, ...]:
    return (
        Text(what, style=FAINT),
        clip(spec.name, MAX_NAME_CHARS),
        spec.data_type.value,
        " × ".join(map(str, spec.shape)) or "scalar",
        figures.size(spec.size_bytes),
    )


def _operator_row(kind: OperatorKind, dearest: float, canvas: Canvas) -> tuple[Cell, ...]:
    return (
        clip(kind.name, MAX_NAME_CHARS),
        f"{kind.count:,}",
        figures.size(kind.weight_bytes) if kind.weight_bytes else figures.MISSING,
        figures.share(kind.effort_share) if kind.effort_share else figures.MISSING,
        canvas.bar(kind.effort_share / dearest if dearest else 0.0, _BAR_CELLS, ACCENT),
    )


def _more(count: int, what: str) -> Iterator[RenderableType]:
    if count > _MAX_ROWS:
        more = figures.count(count - _MAX_ROWS, f"more {what}")
        yield paragraph(f"… and {more}", indent=2, style=FAINT)


def _cutting(found: Inspection) -> Iterator[RenderableType]:
    """Where cuts are legal, the cheapest of them, and what forbids the others."""
    if found.uncuttable_reason is not None:
        yield paragraph(Text(f"cannot be cut: {found.uncuttable_reason}", WARNING), indent=2)
        return
    legal, places = len(found.legal_cuts), len(found.boundaries)
    where = "everywhere" if legal == places else f"at {legal:,} of {places:,} places"
    least = figures.share(LEAST_SHARE)
    yield paragraph(
        f"can be cut {where}; least crosses at these, with {least} of the effort on either side:",
        indent=2,
    )
    yield table(_CUTS, map(_cut_row, found.cheapest_cuts), indent=2)
    if found.uncuttable:
        yield Text()
        yield labelled(_regions(found.uncuttable), indent=2, label_style="")


def _cut_row(cut: Cut) -> tuple[Cell, ...]:
    return (
        f"{cut.layer:,}",
        figures.size(cut.live_bytes),
        figures.share(cut.effort_before),
        _listed(cut.live_tensors),
    )


def _regions(regions: Sequence[Uncuttable]) -> Iterator[tuple[str, Cell]]:
    for one in regions[:_MAX_REGIONS]:
        where = figures.layers(one.first, one.last + 1)
        yield f"no cut before {where}", Text(one.reason, style=FAINT)
    if len(regions) > _MAX_REGIONS:
        yield "…", f"and {figures.count(len(regions) - _MAX_REGIONS, 'more region')}"


def _stage_rows(splits: Iterable[Sequence[Stage]]) -> Iterator[tuple[Cell, ...]]:
    for stages in splits:
        for at, stage in enumerate(stages):
            yield (
                Text("" if at else str(len(stages)), style=HEADING),
                figures.layers(stage.start, stage.stop),
                figures.share(stage.effort_share),
                figures.size(stage.received_bytes),
                *(figures.size(stage.memory_bytes.get(name)) for name in ("litert", "tflite")),
                figures.size(stage.weight_bytes),
            )


def _reading(found: Inspection) -> str:
    """How the last table is to be read."""
    possible = max(len(stages) for stages in found.splits)
    narrow = f" Its cuts allow no more than {possible}." if possible < 4 else ""
    return (
        "Even splits by estimated effort; a plan goes by what nodes measure. Memory is predicted, "
        f"for each runtime, beside its bare interpreter ({figures.memory(INTERPRETER_BYTES)})."
        + narrow
    )
