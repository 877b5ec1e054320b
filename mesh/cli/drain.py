"""`mesh drain`: takes all work off a node while requests go on, and waits until it is empty."""

import argparse
import contextlib
from dataclasses import replace

from mesh.cli.figures import count
from mesh.cli.options import Parser, add_connection, add_json, examples, seconds
from mesh.cli.session import Asker, Session, Whereabouts, ask_status
from mesh.cli.steps import Step, Steps, steps_for
from mesh.cli.terminal import cleaned
from mesh.errors import DeadlineExceededError, InfeasibleError, UsageError
from mesh.wire import codec
from mesh.wire.control import DrainReply, DrainRequest, NodeStatus, StatusReply, Verb

WAIT_S = 300.0
POLL_S = 0.4
GRACE_S = 5.0
"""How long a reason must stand why a model cannot do without the node, until it counts as lasting."""
TRIES_PER_NODE = 4
"""On a broker that nodes share, any of them may hear a request that is for one."""


def configure(parser: Parser) -> None:
    parser.usage = "mesh drain NODE [options]"
    parser.description = (
        "Leave a node empty, to update it or to take it away: plans avoid it from now on, and what "
        "runs there moves to other nodes, which are made ready first, so that no request is lost. "
        "Returns when the node runs nothing any more. It stays so, also after a restart, until "
        "`mesh undrain NODE`."
    )
    parser.epilog = examples("mesh drain pi-kitchen", "mesh undrain pi-kitchen")
    parser.add_argument("node", metavar="NODE", help="its name or id, as `mesh status` shows it")
    parser.add_argument("--no-wait", action="store_true", help="return at once")
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_S,
        metavar="SECONDS",
        help="how long to wait until it is empty (%(default)g)",
    )
    add_json(parser)
    add_connection(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    where = session.whereabouts(args)
    node, shared_by = find(session, where, args.node)
    with (
        contextlib.closing(session.connect(replace(where, url=node.broker_url))) as asker,
        contextlib.closing(steps_for(session.terminal, quiet=args.json)) as steps,
    ):
        order = Order(asker, node, tries=shared_by * TRIES_PER_NODE, timeout_s=where.timeout_s)
        reply = order.give()
        if not args.no_wait:
            reply = _await_empty(order, session, steps, wait_s=args.wait)
    if args.json:
        session.terminal.show_json(
            name=node.name, is_empty=not reply.held, **codec.to_plain(cleaned(reply))
        )
    else:
        session.terminal.show(_sentence(node.name, reply))
    return 0


def find(session: Session, where: Whereabouts, word: str) -> tuple[NodeStatus, int]:
    """The node of this name or id, and how many share its broker. Raises: UsageError."""
    with contextlib.closing(session.connect(where)) as asker:
        status = ask_status(asker, where.timeout_s)
    node = _node_named(status, word)
    if node.state not in ("ready", "draining"):
        raise UsageError(f"{node.name} cannot be told now, it is {node.state}: see `mesh status`")
    return node, sum(one.broker_url == node.broker_url for one in status.nodes)


def _node_named(status: StatusReply, word: str) -> NodeStatus:
    found = [node for node in status.nodes if word in (node.name, node.node_id)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(node.node_id for node in found)
        raise UsageError(
            f"{count(len(found), 'node')} are called {word!r}: give one of their ids, {ids}"
        )
    names = ", ".join(node.name for node in status.nodes)
    raise UsageError(f"there is no node {word!r}; there are: {names}")


class Order:
    """What one node is told to do, again and again: it answers how far it is."""

    def __init__(
        self, asker: Asker, node: NodeStatus, *, tries: int, timeout_s: float, undo: bool = False
    ) -> None:
        self._asker = asker
        self._request = DrainRequest(node_id=node.node_id, undo=undo)
        self._tries = tries
        self._timeout_s = timeout_s
        self.node = node

    def give(self) -> DrainReply:
        """Raises: UsageError where only other nodes heard it."""
        for _ in range(self._tries - 1):
            with contextlib.suppress(UsageError):
                return self._ask()
        return self._ask()

    def _ask(self) -> DrainReply:
        return self._asker.ask(Verb.DRAIN, self._request, DrainReply, timeout_s=self._timeout_s)


def _await_empty(order: Order, session: Session, steps: Steps, *, wait_s: float) -> DrainReply:
    """Raises: InfeasibleError, DeadlineExceededError."""
    began_s = changed_s = session.now_s()
    reply = cleaned(order.give())
    name = order.node.name
    while reply.held:
        steps.show([Step(label=_pastime(reply))])
        session.pause(POLL_S)
        before, reply = reply, cleaned(order.give())
        now_s = session.now_s()
        changed_s = changed_s if reply == before else now_s
        problems = [f"{one.name}: {one.problem}" for one in reply.held if one.problem]
        if problems and now_s - changed_s >= GRACE_S:
            raise InfeasibleError(
                f"{name} is draining, but still runs what no other node can; {'; '.join(problems)}"
            )
        if now_s - began_s > wait_s:
            raise DeadlineExceededError(
                f"{name} is draining, but after {wait_s:g} s it still holds {_models(reply)}: "
                "see `mesh status`"
            )
    return reply


def _pastime(reply: DrainReply) -> str:
    if any(one.is_live for one in reply.held):
        return f"other nodes get ready for {_models(reply)}"
    return f"finishing what is under way of {_models(reply)}"


def _models(reply: DrainReply) -> str:
    return ", ".join(one.name for one in reply.held)


def _sentence(name: str, reply: DrainReply) -> str:
    if reply.held:
        return f"{name} is draining and still runs {_models(reply)}; `mesh status` shows when not"
    return f"{name} is empty and can be switched off; `mesh undrain {name}` has it used again"
