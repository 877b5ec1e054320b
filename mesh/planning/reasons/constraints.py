"""The constraints of a problem one by one: how each reads, and the problem without it. Blames none."""

import math
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.problem import PlanLink, PlanNode, Problem

FREE_LINK = PlanLink(goodput_bytes_per_s=math.inf, message_s=0.0)


class Constraint(Enum):
    """What is wished for comes first, then what the nodes are."""

    LATENCY_BOUND = "latency bound"
    SPLIT = "split"
    STAGE_LIMIT = "stage limit"
    REQUIRED = "required nodes"
    PRIVATE = "private layers"
    MEMORY = "memory"
    OPERATORS = "operators"
    LINKS = "links"


def is_active(constraint: Constraint, problem: Problem) -> bool:
    """Whether the constraint could stand in the way of any plan."""
    return without(constraint, problem) != problem


def without(constraint: Constraint, problem: Problem) -> Problem:
    """The problem as if the constraint were none."""
    return _WITHOUT[constraint](problem)


def predicate(constraint: Constraint, problem: Problem) -> str:
    """What no plan does, as the end of "no plan …"."""
    return _PREDICATES[constraint](problem)


def stages(count: int) -> str:
    return "1 stage" if count == 1 else f"{count} stages"


def private_part(problem: Problem) -> str:
    """The private layers in words, which count pieces between cut points, not operators."""
    if problem.private_layers == problem.layers:
        return "the whole model, which is private,"
    return f"the private first {problem.private_layers} of the model's {problem.layers} pieces"


def node_ids(problem: Problem) -> tuple[NodeId, ...]:
    return tuple(sorted(node.node_id for node in problem.nodes))


def changed_nodes(problem: Problem, changed: dict[NodeId, PlanNode]) -> Problem:
    nodes = tuple(changed.get(node.node_id, node) for node in problem.nodes)
    return replace(problem, nodes=nodes)


def with_more_memory(problem: Problem, whose: frozenset[NodeId], more_bytes: int) -> Problem:
    return changed_nodes(
        problem,
        {
            node.node_id: replace(node, memory_bytes=node.memory_bytes + more_bytes)
            for node in problem.nodes
            if node.node_id in whose
        },
    )


def without_gaps(problem: Problem, whose: frozenset[NodeId]) -> Problem:
    """As if these nodes ran what they cannot, in no time."""
    return changed_nodes(
        problem,
        {
            node.node_id: replace(node, layer_s=node.times_s)
            for node in problem.nodes
            if node.node_id in whose
        },
    )


def with_links(problem: Problem, pairs: tuple[tuple[NodeId, NodeId], ...]) -> Problem:
    """As if these links were there, free of cost."""
    return replace(problem, links={**problem.links, **dict.fromkeys(pairs, FREE_LINK)})


def missing_pairs(problem: Problem) -> tuple[tuple[NodeId, NodeId], ...]:
    """Sender and receiver of each link that is not there, the gateway's included."""
    ends = sorted({*node_ids(problem), *([problem.gateway] if problem.gateway else [])})
    return tuple((a, b) for a in ends for b in ends if a != b and (a, b) not in problem.links)


def ample_bytes(problem: Problem) -> int:
    """More than any stage takes."""
    return math.ceil(
        problem.stage_memory_bytes
        + sum(problem.layer_memory_bytes)
        + sum(problem.receive_memory_bytes)
        + sum(problem.send_memory_bytes)
    )


def _without_memory_limits(problem: Problem) -> Problem:
    return with_more_memory(problem, frozenset(node_ids(problem)), ample_bytes(problem))


def _required(problem: Problem) -> str:
    names = [problem.label(node_id) for node_id in sorted(problem.required)]
    return f"gives {wording.listed(names)}, which must take part, a stage"


def _private(problem: Problem) -> str:
    names = [problem.label(node_id) for node_id in sorted(problem.private_nodes)]
    return f"keeps {private_part(problem)} on {wording.listed(names) or 'nodes of their owner'}"


_WITHOUT: dict[Constraint, Callable[[Problem], Problem]] = {
    Constraint.LATENCY_BOUND: lambda problem: replace(problem, latency_bound_s=math.inf),
    Constraint.SPLIT: lambda problem: replace(problem, min_stages=1),
    Constraint.STAGE_LIMIT: lambda problem: replace(problem, max_stages=None),
    Constraint.REQUIRED: lambda problem: replace(problem, required=frozenset()),
    Constraint.PRIVATE: lambda problem: replace(problem, private_layers=0),
    Constraint.MEMORY: _without_memory_limits,
    Constraint.OPERATORS: lambda problem: without_gaps(problem, frozenset(node_ids(problem))),
    Constraint.LINKS: lambda problem: with_links(problem, missing_pairs(problem)),
}

_PREDICATES: dict[Constraint, Callable[[Problem], str]] = {
    Constraint.LATENCY_BOUND: lambda problem: (
        f"answers within {wording.duration(problem.latency_bound_s)}"
    ),
    Constraint.SPLIT: lambda problem: f"has {problem.min_stages} stages or more",
    Constraint.STAGE_LIMIT: lambda problem: f"has at most {stages(problem.max_stages or 1)}",
    Constraint.REQUIRED: _required,
    Constraint.PRIVATE: _private,
    Constraint.MEMORY: lambda _: "fits into memory",
    Constraint.OPERATORS: lambda _: "avoids what the nodes' runtimes cannot run",
    Constraint.LINKS: lambda _: "does with the links that there are",
}
