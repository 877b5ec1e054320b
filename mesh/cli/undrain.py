"""`mesh undrain`: has a node used again that `mesh drain` left empty."""

import argparse
import contextlib
from dataclasses import replace

from mesh.cli import drain
from mesh.cli.drain import TRIES_PER_NODE, Order
from mesh.cli.options import Parser, add_connection, add_json, examples
from mesh.cli.session import Session
from mesh.cli.terminal import cleaned
from mesh.wire import codec


def configure(parser: Parser) -> None:
    parser.usage = "mesh undrain NODE [options]"
    parser.description = "Have a node used again that `mesh drain` left empty."
    parser.epilog = examples("mesh undrain pi-kitchen")
    parser.add_argument("node", metavar="NODE", help="its name or id, as `mesh status` shows it")
    add_json(parser)
    add_connection(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    node, shared_by = drain.find(session, where, args.node)
    with contextlib.closing(session.connect(replace(where, url=node.broker_url))) as asker:
        tries = shared_by * TRIES_PER_NODE
        reply = Order(asker, node, tries=tries, timeout_s=where.timeout_s, undo=True).give()
    if args.json:
        session.terminal.show_json(name=node.name, **codec.to_plain(cleaned(reply)))
    else:
        session.terminal.show(f"{node.name} may be used again")
    return 0
