"""`mesh model ls`: the models by name, with what they take and give."""

import argparse
import contextlib
from collections.abc import Iterable

from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import BAD, GOOD, WARNING, Canvas, Cell, Column, paragraph, table
from mesh.cli.options import Parser, add_connection, add_json, examples
from mesh.cli.session import Session, ask_status
from mesh.model.tensor import TensorSpec
from mesh.wire import codec
from mesh.wire.control import ModelStatus, StatusReply

_COLUMNS = (
    Column(title="NAME", flexible=True),
    Column(title="STATE"),
    Column(title="STAGES", is_number=True),
    Column(title="SIZE", is_number=True),
    Column(title="ID"),
    Column(title="INPUTS → OUTPUTS", flexible=True),
)
_STYLES = {"serving": GOOD, "waiting for a node": BAD}


def configure(parser: Parser) -> None:
    parser.usage = "mesh model ls [options]"
    parser.description = "List the models that the mesh serves or is getting ready."
    parser.epilog = examples("mesh model ls", "mesh model ls --json | jq '.models[].name'")
    add_json(parser)
    add_connection(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    with contextlib.closing(session.connect(where)) as asker:
        status = ask_status(asker, where.timeout_s)
    if args.json:
        session.terminal.show_json(models=codec.to_plain(status.models))
    else:
        session.terminal.show(render(status, session.terminal.canvas))
    return 0


def render(status: StatusReply, canvas: Canvas) -> str:
    """One line a model."""
    if not status.models:
        return canvas.draw([paragraph("no models yet; add one: mesh model add FILE.tflite")])
    return canvas.draw([table(_COLUMNS, (_row(model) for model in status.models))])


def _row(model: ModelStatus) -> tuple[Cell, ...]:
    return (
        model.name,
        Text(model.state, style=_STYLES.get(model.state, WARNING)),
        str(len(model.stages)) if model.stages else figures.MISSING,
        figures.size(model.size_bytes),
        model.model_id[:8],
        f"{_shapes(model.inputs)} → {_shapes(model.outputs)}",
    )


def _shapes(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(
        f"{spec.data_type.value.lower()}[{','.join(map(str, spec.shape))}]" for spec in specs
    )
