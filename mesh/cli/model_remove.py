"""`mesh model rm`: stops serving a name everywhere."""

import argparse
import contextlib

from mesh.cli.options import Parser, add_connection, add_json, examples
from mesh.cli.session import Session
from mesh.cli.terminal import cleaned
from mesh.wire import codec
from mesh.wire.control import RemoveModelReply, RemoveModelRequest, Verb


def configure(parser: Parser) -> None:
    parser.usage = "mesh model rm NAME [options]"
    parser.description = (
        "Stop serving a model on every node and delete its copies. Requests under way "
        "are refused; your own file stays where it is."
    )
    parser.epilog = examples("mesh model rm pose")
    parser.add_argument("name", metavar="NAME", help="the model's name")
    add_json(parser)
    add_connection(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    request = RemoveModelRequest(name=args.name)
    with contextlib.closing(session.connect(where)) as asker:
        reply = asker.ask(Verb.MODEL_REMOVE, request, RemoveModelReply, timeout_s=where.timeout_s)
    if args.json:
        session.terminal.show_json(**codec.to_plain(reply))
    else:
        session.terminal.show(f"removed {cleaned(reply).name}")
    return 0
