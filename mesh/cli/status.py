"""`mesh status`: asks a node what it knows of the mesh, once or again and again."""

import argparse
import contextlib

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mesh.cli import failure, status_view
from mesh.cli.options import Parser, add_connection, add_json, examples, seconds
from mesh.cli.session import Asker, Session, Whereabouts, ask_status
from mesh.cli.terminal import json_line
from mesh.errors import MeshError
from mesh.wire import codec
from mesh.wire.control import StatusReply

WATCH_S = 1.0


def configure(parser: Parser) -> None:
    parser.usage = "mesh status [options]"
    parser.description = (
        "Show the mesh as one of its nodes sees it: nodes, models, the stages of each "
        "live plan, the bottleneck, predicted and measured requests per second, problems."
    )
    parser.epilog = examples(
        "mesh status",
        "mesh status --watch 2",
        "mesh status --url mqtt://192.168.1.20:1883",
        "mesh status --json | jq '.models[].requests_per_s'",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=seconds,
        const=WATCH_S,
        metavar="SECONDS",
        help=f"show it again every SECONDS ({WATCH_S:g}), until Ctrl-C",
    )
    add_json(parser)
    add_connection(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    if args.watch is not None:
        _watch(session, where, period_s=args.watch, as_json=args.json)
        return 0
    with contextlib.closing(session.connect(where)) as asker:
        status = ask_status(asker, where.timeout_s)
    if args.json:
        session.terminal.show_json(**codec.to_plain(status))
    else:
        session.terminal.show(status_view.render(status, session.terminal.canvas))
    return 0


def _watch(session: Session, where: Whereabouts, *, period_s: float, as_json: bool) -> None:
    """Until interrupted. The first answer must come; later the node asked may go: another is sought."""
    with contextlib.closing(_Watched(session, where)) as watched:
        status = watched.ask()
        if session.terminal.is_live and not as_json:
            _redraw(session, watched, status, period_s)
        while True:
            if as_json:
                session.terminal.show_json(**codec.to_plain(status))
            else:
                session.terminal.show(status_view.render(status, session.terminal.canvas) + "\n")
            session.pause(period_s)
            while isinstance(outcome := watched.try_asking(), MeshError):
                _tell(session, outcome, as_json=as_json)
                session.pause(period_s)
            status = outcome


def _redraw(session: Session, watched: "_Watched", status: StatusReply, period_s: float) -> None:
    terminal = session.terminal
    console = Console(file=terminal.out, no_color=not terminal.canvas.has_colour)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        trouble = ""
        while True:
            text = status_view.render(status, terminal.canvas, trouble=trouble)
            live.update(Text.from_ansi(text), refresh=True)
            session.pause(period_s)
            outcome = watched.try_asking()
            if isinstance(outcome, MeshError):
                trouble = failure.line(outcome).removeprefix("mesh: ")
            else:
                status, trouble = outcome, ""


def _tell(session: Session, error: MeshError, *, as_json: bool) -> None:
    if as_json:
        session.terminal.show(json_line(failure.members(error)))
    else:
        session.terminal.note(failure.line(error))


class _Watched:
    """A connection that is made anew after a failure: mDNS may know another node by then."""

    def __init__(self, session: Session, where: Whereabouts) -> None:
        self._session = session
        self._where = where
        self._asker: Asker | None = None

    def ask(self) -> StatusReply:
        if self._asker is None:
            self._asker = self._session.connect(self._where)
        return ask_status(self._asker, self._where.timeout_s)

    def try_asking(self) -> StatusReply | MeshError:
        try:
            return self.ask()
        except MeshError as error:
            self.close()
            return error

    def close(self) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None
