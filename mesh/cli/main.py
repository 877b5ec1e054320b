"""The command `mesh`: picks the command, tells errors, sets the exit status."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import mesh
from mesh.cli import failure
from mesh.cli.options import Parser, examples, help_format
from mesh.cli.session import Session, real_session
from mesh.cli.terminal import json_line, real_terminal

DESCRIPTION = """\
Small boards become one machine: split a .tflite model among them and pipeline
inference over MQTT. Nodes of one local network find each other by themselves.
"""


class Command(Protocol):
    """A module of this folder."""

    def configure(self, parser: Parser) -> None:
        """Add the command's options."""
        ...

    def run(self, args: argparse.Namespace, session: Session) -> int:
        """Do it and return the exit status. Raises: MeshError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of `mesh --help`; the module is imported when it is wanted."""

    name: str
    summary: str
    module: str


COMMANDS = (
    Entry(name="node", summary="run a node on this machine", module="mesh.cli.node"),
    Entry(
        name="status",
        summary="show nodes, models, stages and what they achieve",
        module="mesh.cli.status",
    ),
    Entry(name="model", summary="add, list and remove models", module="mesh.cli.model"),
    Entry(name="plan", summary="explain who runs what, and why", module="mesh.cli.plan"),
    Entry(name="drain", summary="leave a node empty, to take it away", module="mesh.cli.drain"),
    Entry(name="undrain", summary="have a drained node used again", module="mesh.cli.undrain"),
    Entry(name="profile", summary="show what this machine is and can", module="mesh.cli.profile"),
    Entry(
        name="demo", summary="show it all on this machine, with real nodes", module="mesh.cli.demo"
    ),
    Entry(name="infer", summary="ask a model, and measure it", module="mesh.cli.infer"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mesh` with these arguments, or the process's own, and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    session = real_session(real_terminal(), os.environ)
    status = run(arguments, session)
    if status == failure.BROKEN_PIPE:
        _forget_output()
    return status


def run(arguments: Sequence[str], session: Session) -> int:
    """As `main`, with everything of the world handed in."""
    try:
        return _run(arguments, session)
    except KeyboardInterrupt:
        return failure.INTERRUPTED
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - whoever types a command sees one line
        if session.environment.get("MESH_DEBUG"):
            traceback.print_exception(error, file=session.terminal.err)
        return _tell(error, session, as_json="--json" in arguments)


def _run(arguments: Sequence[str], session: Session) -> int:
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser, command = _parser(chosen)
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:  # --help and --version have printed what they print
        return int(end.code or 0)
    if command is None:
        session.terminal.show(parser.format_help())
        return 0
    return command.run(args, session)


def _parser(chosen: str | None) -> tuple[Parser, Command | None]:
    """Only the chosen command's options are filled in."""
    parser = Parser(
        prog="mesh",
        description=DESCRIPTION,
        formatter_class=help_format,
        epilog=examples(
            "mesh node                       # on each board",
            "mesh model add pose.tflite      # from anywhere on the network",
            "mesh infer pose --image me.jpg",
            "mesh status --watch",
        )
        + "\n\n`mesh COMMAND --help` says more.",
    )
    parser.add_argument("--version", action="version", version=f"mesh {mesh.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    found: Command | None = None
    for entry in COMMANDS:
        sub = commands.add_parser(entry.name, help=entry.summary, formatter_class=help_format)
        if entry.name == chosen:
            found = cast("Command", importlib.import_module(entry.module))
            found.configure(sub)
    return parser, found


def _tell(error: Exception, session: Session, *, as_json: bool) -> int:
    try:
        if as_json:
            session.terminal.show(json_line(failure.members(error)))
        else:
            session.terminal.note(failure.line(error))
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    return failure.exit_status(error)


def _forget_output() -> None:
    """Nobody reads on: keep the interpreter from complaining when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
