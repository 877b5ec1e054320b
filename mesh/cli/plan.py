"""`mesh plan`: asks a node what it would plan for a model now, and why."""

import argparse
import contextlib

from mesh.cli import plan_view
from mesh.cli.options import Parser, add_connection, add_json, at_least_one, examples
from mesh.cli.session import Asker, Session, ask_status
from mesh.cli.terminal import cleaned
from mesh.wire import codec
from mesh.wire.control import PlanReply, PlanRequest, Verb

PLANNING_TIMEOUT_S = 30.0


def configure(parser: Parser) -> None:
    parser.usage = "mesh plan NAME [options]"
    parser.description = (
        "Explain a model's plan: which node runs which layers, what each stage costs, "
        "what sets the pace, how a single node and the best pipeline compare, and why "
        "other nodes are left out. Changes nothing."
    )
    parser.epilog = examples(
        "mesh plan pose",
        "mesh plan pose --split 2          # what if it had at least two stages?",
        "mesh plan pose --json | jq .verdict",
    )
    parser.add_argument("name", metavar="NAME", help="the model's name")
    parser.add_argument(
        "--split",
        type=at_least_one,
        metavar="N",
        help="plan at least N stages instead of what the model was added with",
    )
    add_json(parser)
    add_connection(parser, timeout_s=PLANNING_TIMEOUT_S)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    with contextlib.closing(session.connect(where)) as asker:
        plan = ask_plan(asker, args.name, min_stages=args.split, timeout_s=where.timeout_s)
        if args.json:
            session.terminal.show_json(**codec.to_plain(plan))
            return 0
        room_bytes = plan_view.rooms(ask_status(asker, where.timeout_s))
    session.terminal.show(plan_view.render(plan, room_bytes, session.terminal.canvas))
    return 0


def ask_plan(
    asker: Asker, name: str, *, min_stages: int | None = None, timeout_s: float
) -> PlanReply:
    """The plan and what it was weighed against, fit to be shown."""
    request = PlanRequest(name=name, min_stages=min_stages)
    return cleaned(asker.ask(Verb.PLAN, request, PlanReply, timeout_s=timeout_s))
