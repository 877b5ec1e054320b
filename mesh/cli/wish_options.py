"""The options by which `mesh model add` and `mesh plan` say how a model is to be run, and the wishes they make."""

import argparse
import re

from mesh.cli.options import Parser, at_least_one
from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning.problem import Objective
from mesh.planning.wishes import Wishes

_TIME = re.compile(r"(?P<number>\d{1,9}(\.\d{1,9})?)\s*(?P<unit>us|ms|s)")
_SCALES_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_OPTIONS = ("split", "replicas", "objective", "latency_bound_s", "must", "never", "private_prefix")


def add_wishes(parser: Parser) -> None:
    """The options; none has a default, so that what was not said can be told from what was."""
    group = parser.add_argument_group(
        "how it is to be run", "Nodes are called by their name or id, as `mesh status` shows them."
    )
    group.add_argument(
        "--split",
        type=at_least_one,
        metavar="N",
        help="use at least N stages, also where one node would be faster",
    )
    group.add_argument(
        "--replicas",
        type=at_least_one,
        metavar="N",
        help="at most N nodes for each stage; 1: a plain pipeline (any number)",
    )
    group.add_argument(
        "--objective",
        choices=[one.value for one in Objective],
        help="what counts: most requests per second, or the soonest answer (throughput)",
    )
    group.add_argument(
        "--latency-bound",
        dest="latency_bound_s",
        type=time_s,
        metavar="TIME",
        help="no plan that answers later, as 50ms or 0.2s",
    )
    group.add_argument(
        "--must", action="append", metavar="NODE", help="this node has a stage; repeatable"
    )
    group.add_argument(
        "--never", action="append", metavar="NODE", help="this node has none; repeatable"
    )
    group.add_argument(
        "--private-prefix",
        type=at_least_one,
        metavar="K",
        help="the first K layers run only on nodes of the asked node's owner (`mesh node --owner`)",
    )


def wishes_of(args: argparse.Namespace) -> Wishes | None:
    """What was wished for; None where nothing was. Raises: UsageError."""
    if all(getattr(args, option) is None for option in _OPTIONS):
        return None
    try:
        return Wishes(
            min_stages=args.split or 1,
            max_replicas=args.replicas,
            objective=Objective(args.objective) if args.objective else Objective.THROUGHPUT,
            latency_bound_s=args.latency_bound_s,
            must=tuple(NodeId(word) for word in args.must or ()),
            never=tuple(NodeId(word) for word in args.never or ()),
            private_layers=args.private_prefix or 0,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def time_s(text: str) -> float:
    """As "50ms", "0.2s" or "800us"; at most a day."""
    match = _TIME.fullmatch(text.strip())
    seconds = float(match["number"]) * _SCALES_S[match["unit"]] if match is not None else 0.0
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 50ms or 0.2s, at most 86400s")
    return seconds
