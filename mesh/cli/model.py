"""`mesh model`: inspecting, adding, listing and removing; each is a module of its own."""

import argparse
import importlib
from typing import Protocol, cast

from mesh.cli.options import Parser, examples, help_format
from mesh.cli.session import Session

_COMMANDS = {
    "inspect": ("say what a .tflite file is and where it can be cut", "mesh.cli.model_inspect"),
    "add": ("serve a .tflite file on the mesh", "mesh.cli.model_add"),
    "ls": ("list the models", "mesh.cli.model_list"),
    "rm": ("stop serving a model and delete its files", "mesh.cli.model_remove"),
}


class _Command(Protocol):
    def configure(self, parser: Parser) -> None: ...

    def run(self, args: argparse.Namespace, session: Session) -> int: ...


def configure(parser: Parser) -> None:
    parser.description = (
        "Inspect a .tflite file; add, list and remove models: every node keeps a copy of each."
    )
    parser.epilog = examples(
        "mesh model inspect pose.tflite",
        "mesh model add pose.tflite",
        "mesh model ls",
        "mesh model rm pose",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="model_command", required=True
    )
    for name, (summary, module) in _COMMANDS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=help_format)
        _load(module).configure(sub)


def run(args: argparse.Namespace, session: Session) -> int:
    return _load(_COMMANDS[args.model_command][1]).run(args, session)


def _load(module: str) -> _Command:
    return cast("_Command", importlib.import_module(module))
