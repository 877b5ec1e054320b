"""What the command line wishes of a plan, put into a problem that no node asked; nodes go by name or id."""

import argparse
from dataclasses import replace
from typing import Any

from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning import Objective, Problem


def with_wishes(problem: Problem, args: argparse.Namespace) -> Problem:
    """The problem, but for what was wished otherwise. Raises: UsageError."""
    if args.private_prefix is not None:
        raise UsageError(
            "--private-prefix needs nodes that have owners: leave it out (a problem file may say "
            "private_layers and private_nodes)"
        )
    wishes: dict[str, Any] = {
        "min_stages": args.split,
        "max_replicas": args.replicas,
        "objective": Objective(args.objective) if args.objective else None,
        "latency_bound_s": args.latency_bound_s,
        "required": frozenset(_ids(problem, args.must)) or None,
    }
    never = _ids(problem, args.never)
    for both in sorted(wishes["required"] & {*never} if wishes["required"] else ()):
        raise UsageError(f"{problem.label(both)} cannot be in --must and in --never: choose one")
    try:
        return replace(
            problem,
            nodes=tuple(node for node in problem.nodes if node.node_id not in never),
            **{key: value for key, value in wishes.items() if value is not None},
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _ids(problem: Problem, words: list[str] | None) -> tuple[NodeId, ...]:
    """Raises: UsageError naming who there is."""
    found = []
    for word in words or ():
        ids = [node.node_id for node in problem.nodes if word in (node.node_id, node.name)]
        if len(ids) != 1:
            names = ", ".join(node.name or node.node_id for node in problem.nodes)
            told = "no node is" if not ids else "several nodes are"
            raise UsageError(f"{told} called {word!r}; there are: {names}")
        found.append(ids[0])
    return tuple(found)
