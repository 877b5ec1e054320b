"""`mesh model inspect`: says what a .tflite file is, where it can be cut, and what stages of it need."""

import argparse
import hashlib
from pathlib import Path

from mesh.cli import inspect_svg, inspect_view
from mesh.cli.inspect_facts import Inspection, inspect_model
from mesh.cli.model_derive import map_file
from mesh.cli.options import Parser, add_json, examples, existing_file
from mesh.cli.session import Session
from mesh.cli.terminal import cleaned
from mesh.config import load
from mesh.errors import ModelError, UsageError
from mesh.model import Limits, read_model
from mesh.model.limits import model_limits
from mesh.wire import codec

_HASH_BYTES = 1 << 20


def configure(parser: Parser) -> None:
    parser.usage = "mesh model inspect FILE [options]"
    parser.description = (
        "Say what a .tflite file is: its inputs, outputs and operators, where it can be cut and "
        "what would cross there, what even splits into 2, 3 and 4 stages need, and what cannot "
        "be cut and why. Effort is estimated from the operators; nothing is run, and no node is "
        "needed."
    )
    parser.epilog = examples(
        "mesh model inspect pose.tflite",
        "mesh model inspect pose.tflite --svg pose.svg",
        "mesh model inspect pose.tflite --json | jq '.cheapest_cuts[0].live_bytes'",
    )
    parser.add_argument("file", metavar="FILE", type=existing_file, help="the .tflite file")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="draw the chain of layers into this file as well"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    found = cleaned(inspect_file(args.file, model_limits(load({}, session.environment))))
    if args.svg is not None:
        _write(args.svg, inspect_svg.draw(found))
    if args.json:
        session.terminal.show_json(**codec.to_plain(found))
        return 0
    session.terminal.show(inspect_view.render(found, session.terminal.canvas))
    if args.svg is not None:
        session.terminal.note(f"drawn into {args.svg}")
    return 0


def inspect_file(path: Path, limits: Limits) -> Inspection:
    """Raises: UsageError, InvalidModelError, UnsupportedModelError."""
    try:
        content = map_file(path)
        model = read_model(content, limits)
        return inspect_model(model, content, limits, file=path.name, model_id=_content_id(content))
    except ModelError as error:
        raise type(error)(f"{path.name}: {error}") from error


def _content_id(content: memoryview) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(content), _HASH_BYTES):
        digest.update(content[start : start + _HASH_BYTES])
    return digest.hexdigest()


def _write(path: Path, drawing: str) -> None:
    try:
        path.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
