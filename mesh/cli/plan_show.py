"""Shows a plan as it was asked for: as text, as JSON, as a drawing, as a file of its facts."""

import argparse
from pathlib import Path
from typing import Any

from mesh.cli import plan_svg, plan_view
from mesh.cli.session import Session
from mesh.errors import UsageError
from mesh.planning.problem_file import write_problem
from mesh.wire import codec
from mesh.wire.planned import PlanReply


def show(reply: PlanReply, args: argparse.Namespace, session: Session) -> int:
    """Needs `svg`, `dump_problem`, `json`, `explain` and `pareto` of the arguments. Raises: UsageError."""
    notes = []
    if args.svg is not None:
        _write(args.svg, plan_svg.draw(reply))
        notes.append(f"drawn into {args.svg}")
    if args.dump_problem is not None and reply.problem is not None:
        _write(args.dump_problem, write_problem(reply.problem))
        notes.append(
            f"written into {args.dump_problem}: `mesh plan --problem {args.dump_problem}` solves it"
        )
    if args.json:
        session.terminal.show_json(**plain(reply))
        return 0
    session.terminal.show(_text(reply, args, session))
    for note in notes:
        session.terminal.note(note)
    return 0


def plain(reply: PlanReply) -> dict[str, Any]:
    """The reply for programs: also the requests per second of each plan, null without bound."""
    members: dict[str, Any] = codec.to_plain(reply)
    options = [members["chosen"], *members["alternatives"], *members["front"]]
    for option in options:
        period_s = option["bottleneck_s"]
        option["requests_per_s"] = 1.0 / period_s if period_s > 0 else None
    return members


def _text(reply: PlanReply, args: argparse.Namespace, session: Session) -> str:
    canvas = session.terminal.canvas
    if args.pareto and not args.explain:
        return plan_view.render_front(reply, canvas)
    return (plan_view.render_explained if args.explain else plan_view.render)(reply, canvas)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
