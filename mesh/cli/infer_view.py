"""Renders an answer: its outputs in figures, the likeliest classes, where the time went; pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import BAD, FAINT, HEADING, Canvas, Cell, Column, labelled, paragraph, table
from mesh.cli.infer_load import Load
from mesh.cli.terminal import clean
from mesh.client import Answer
from mesh.pipeline.classes import likeliest
from mesh.wire.infer import Timing

_STAGES = (
    Column(title="STAGE", is_number=True),
    Column(title="NODE", flexible=True),
    Column(title="LAYERS", is_number=True),
    Column(title="QUEUE", is_number=True),
    Column(title="COMPUTE", is_number=True),
)
_CLASSES = (
    Column(title="CLASS", is_number=True),
    Column(title="VALUE", is_number=True),
    Column(title="LABEL", flexible=True),
)
_FIRST_VALUES = 6
DEFAULT_TOP = 5

Class = tuple[int, float, str | None]
"""Its index, value and label."""


def render(
    answer: Answer, load: Load, canvas: Canvas, *, labels: Sequence[str], top: int | None
) -> str:
    """As `classes_shown` has them, with all else that the answer says."""
    return canvas.draw(_parts(answer, load, classes_shown(answer, labels=labels, top=top)))


def classes_shown(
    answer: Answer, *, labels: Sequence[str], top: int | None
) -> Mapping[str, Sequence[Class]]:
    """The likeliest classes of each output that has some, by the output's name.

    `labels` go before those of the answer where they fit. `top` None shows some only where there
    are labels; more than the answer has labels for have none.
    """
    shown = {}
    for name, array in answer.outputs.items():
        if len(labels) == array.size:
            names = dict(enumerate(labels))
        else:
            names = {one.index: one.label for one in answer.classes.get(name, ())}
        if top is not None or names:
            shown[name] = _best(array, DEFAULT_TOP if top is None else top, names)
    return {name: best for name, best in shown.items() if best}


def _best(array: npt.NDArray[Any], count: int, names: Mapping[int, str]) -> list[Class]:
    """Of the largest values; none where the output is no plain vector."""
    if array.size < 2 or max(array.shape, default=0) != array.size or array.dtype.kind not in "fiu":
        return []
    values = array.reshape(-1)
    return [(i, values[i].item(), names.get(i)) for i in likeliest(values, count)]


def _parts(
    answer: Answer, load: Load, classes: Mapping[str, Sequence[Class]]
) -> Iterator[RenderableType]:
    for name, array in answer.outputs.items():
        yield Text.assemble((clean(name), HEADING), (f"  {_kind(array)}", FAINT))
        yield labelled(_output_lines(array), indent=2)
        yield from _classes(classes.get(name, ()))
    if answer.timing is not None:
        yield Text()
        yield Text("where the time went", style=HEADING)
        yield table(_STAGES, _stage_rows(answer.timing), indent=2)
        yield labelled(_timing_lines(answer.timing, load), indent=2)
    if load.count > 1:
        yield Text()
        yield Text(f"{load.count:,} requests, {load.in_flight} under way at once", style=HEADING)
        yield labelled(_load_lines(load), indent=2)


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype.name} [{', '.join(map(str, array.shape))}]"


def _output_lines(array: npt.NDArray[Any]) -> Iterator[tuple[str, Cell]]:
    if array.size == 0:
        yield "values", "none"
        return
    if array.size > 1:
        wide = array.astype(np.float64)
        yield (
            "range",
            f"min {_short(wide.min())}  max {_short(wide.max())}  mean {_short(wide.mean())}",
        )
    values = " ".join(_short(value) for value in array.reshape(-1)[:_FIRST_VALUES])
    yield "values", f"{values} …" if array.size > _FIRST_VALUES else values


def _short(value: Any) -> str:
    return f"{float(value):.5g}"


def _classes(best: Sequence[Class]) -> Iterator[RenderableType]:
    if not best:
        return
    labelled_rows = [(str(i), _short(value), clean(label or "")) for i, value, label in best]
    named = sum(label is not None for _, _, label in best)
    width = 3 if named else 2
    yield table(_CLASSES[:width], (row[:width] for row in labelled_rows), indent=2)
    if 0 < named < len(best):
        note = f"the answer names the {named} likeliest: give --labels FILE to name all"
        yield paragraph(note, indent=2, style=FAINT)


def _stage_rows(timing: Timing) -> Iterator[tuple[Cell, ...]]:
    for i, stage in enumerate(timing.stages):
        yield (
            str(i + 1),
            clean(stage.name),
            figures.layers(stage.layers.start, stage.layers.stop),
            figures.milliseconds(stage.queue_s),
            figures.milliseconds(stage.compute_s),
        )


def _timing_lines(timing: Timing, load: Load) -> Iterator[tuple[str, Cell]]:
    transfer = figures.milliseconds(timing.transfer_s)
    yield "transfer", f"{transfer}  between nodes, and waiting at the gateway"
    yield "total", f"{figures.milliseconds(timing.total_s)}  in the mesh"
    if load.count == 1 and load.p50_s is not None:
        yield "", f"{figures.milliseconds(load.p50_s)}  seen from here"


def _load_lines(load: Load) -> Iterator[tuple[str, Cell]]:
    yield "rate", f"{figures.rate(load.requests_per_s)} over {load.seconds:.3g} s"
    if load.p50_s is not None:
        p50, p95, slowest = map(figures.milliseconds, (load.p50_s, load.p95_s, load.slowest_s))
        yield "answers in", f"p50 {p50}, p95 {p95}, slowest {slowest}"
    for code, count in load.failures:
        yield "failed", Text(f"{count:,} × {clean(code)}", style=BAD)


def outputs_as_json(outputs: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """As the Open Inference Protocol has them: values in one flat list."""
    return [
        {
            "name": name,
            "datatype": _OIP_NAMES.get(array.dtype.name, array.dtype.name.upper()),
            "shape": list(array.shape),
            "data": array.reshape(-1).tolist(),
        }
        for name, array in outputs.items()
    ]


def classes_as_json(classes: Mapping[str, Sequence[Class]]) -> dict[str, list[dict[str, Any]]]:
    """As replies have them; label null where there is none."""
    return {
        name: [{"index": index, "label": label, "value": value} for index, value, label in best]
        for name, best in classes.items()
    }


_OIP_NAMES = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}
