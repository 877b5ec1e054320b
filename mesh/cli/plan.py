"""`mesh plan`: asks a node what it would plan for a model now, and why; other questions go elsewhere."""

import argparse
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from mesh.cli import plan_devices, plan_problem, plan_show
from mesh.cli.options import Parser, add_connection, add_json, examples
from mesh.cli.plan_patience import patient
from mesh.cli.session import Asker, Session
from mesh.cli.terminal import cleaned
from mesh.cli.wish_options import add_wishes, wishes_of
from mesh.errors import UsageError
from mesh.wire.control import Verb
from mesh.wire.planned import PlanReply, PlanRequest

PLANNING_TIMEOUT_S = 300.0
"""What seconds of a desktop's work may take on the smallest of boards."""


def configure(parser: Parser) -> None:
    parser.usage = "mesh plan MODEL [options]\n       mesh plan FILE --devices LIST [options]\n       mesh plan --problem FILE [options]"
    parser.description = (
        "Say a model's plan: which nodes run which layers, what sets the pace, and what to expect. "
        "With --explain also how the best single node, replicas and pipeline compare, what would "
        "help most, who is left out and why, and what was measured. Changes nothing."
    )
    parser.epilog = examples(
        "mesh plan pose --explain",
        "mesh plan pose --without pi4-hall     # what if that node went?",
        "mesh plan pose --add pi5:2            # what if there were two more of these?",
        "mesh plan pose --split 2 --latency-bound 80ms",
        "mesh plan pose --pareto               # sooner answers, or more of them",
        "mesh plan pose --svg pose.svg         # requests flowing through the stages",
        "mesh plan pose --json | jq .verdict",
        "mesh plan pose.tflite --devices pi4:2,pi5 --link 940mbit",
        "mesh plan --problem problem.json      # as --dump-problem wrote it",
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="the model's name; a .tflite file with --devices"
    )
    _add_what_is_shown(parser)
    _add_suppositions(parser)
    add_wishes(parser)
    plan_devices.configure(parser)
    plan_problem.configure(parser)
    add_connection(parser, timeout_s=PLANNING_TIMEOUT_S)


def _add_what_is_shown(parser: Parser) -> None:
    group = parser.add_argument_group("what is shown")
    group.add_argument("--explain", action="store_true", help="everything, with reasons")
    group.add_argument(
        "--pareto",
        action="store_true",
        help="the best plans between the soonest answers and the most requests",
    )
    add_json(group)
    group.add_argument(
        "--svg",
        type=Path,
        metavar="FILE",
        help="also draw requests flowing through the plan into this file",
    )
    group.add_argument(
        "--dump-problem",
        type=Path,
        metavar="FILE",
        help="also write every measured fact behind the plan into this file",
    )


def _add_suppositions(parser: Parser) -> None:
    group = parser.add_argument_group(
        "what if", "The plan for other nodes than there are; it never goes live."
    )
    group.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NODE",
        help="leave this node out, by name or id; repeatable",
    )
    group.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="BOARD[:N]",
        help="suppose N more of this board, as pi5, pi5:2 or pi5@8gb; repeatable",
    )


def run(args: argparse.Namespace, session: Session) -> int:
    if args.problem is not None:
        _refuse(args, "--problem", ("model", "devices", "link", "link_latency", "without", "add"))
        return plan_problem.run(args, session)
    if args.devices is not None:
        _refuse(args, "--devices", ("without", "add", "private_prefix"))
        return plan_devices.run(args, session)
    for name in ("link", "link_latency"):
        if getattr(args, name) is not None:
            raise UsageError(f"{_word(name)} says how --devices are linked: add --devices")
    if args.model is None:
        raise UsageError("which model? `mesh model ls` shows those that there are")
    if args.model.endswith(".tflite") and Path(args.model).is_file():
        raise UsageError(
            f"{args.model} is a file: say for which boards with --devices, as --devices pi4:2,pi5, "
            "or give the name of a model that the mesh has (`mesh model ls`)"
        )
    return _ask(args, session)


def _refuse(args: argparse.Namespace, option: str, names: Iterable[str]) -> None:
    """Words that mean nothing beside an option are an error, not overlooked. Raises: UsageError."""
    for name in names:
        if getattr(args, name):
            raise UsageError(f"{option} and {_word(name)} exclude each other: leave one out")


def _word(name: str) -> str:
    return "MODEL" if name == "model" else f"--{name.replace('_', '-')}"


def _ask(args: argparse.Namespace, session: Session) -> int:
    request = request_of(args)
    where = session.whereabouts(args)
    with closing(session.connect(where)) as asker, patient(args, session, at=asker.url):
        reply = ask_plan(asker, request, timeout_s=where.timeout_s)
    return plan_show.show(reply, args, session)


def request_of(args: argparse.Namespace) -> PlanRequest:
    """What the words ask a node for. Raises: UsageError."""
    try:
        return PlanRequest(
            name=args.model,
            wishes=wishes_of(args),
            without=tuple(args.without),
            add=tuple(args.add),
            helps=args.explain or args.json,
            front=args.pareto,
            dump_problem=args.dump_problem is not None,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def ask_plan(asker: Asker, request: PlanRequest, *, timeout_s: float) -> PlanReply:
    """The plan and what it was weighed against, fit to be shown."""
    return cleaned(asker.ask(Verb.PLAN, request, PlanReply, timeout_s=timeout_s))
