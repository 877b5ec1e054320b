"""Why no plan exists, as one sentence: stages, latency, memory, operators or links. Decides nothing else."""

import math
from collections.abc import Callable
from dataclasses import replace

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.costs import memory_ticks
from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.grid import build_grid
from mesh.planning.limited import limited_nodes
from mesh.planning.limits import Limits
from mesh.planning.problem import Objective, Problem
from mesh.planning.reach import can_run
from mesh.planning.ticks import NEVER, to_float, to_ticks

Find = Callable[[Problem], Assignment | None]
"""The search itself, handed in."""


def explain_infeasible(problem: Problem, find: Find) -> str:
    """What stands in the way of a problem for which `find` has nothing, and what to do.

    A constraint is to blame when there is a plan without it.
    """
    if sentence := _too_few(problem):
        return sentence
    unbound = replace(problem, latency_bound_s=math.inf, objective=Objective.LATENCY)
    if (quickest := find(unbound)) is not None:
        best_s = evaluate(unbound, quickest).latency_s
        return (
            f"no plan answers within {wording.duration(problem.latency_bound_s)}: the best possible "
            f"latency is {wording.duration(best_s)}; raise the latency bound to at least that"
        )
    if _can_run(_with_more_memory(unbound, _ample_bytes(problem))):
        return _memory_sentence(unbound, find)
    if _can_run(_with_more_memory(_without_gaps(unbound), _ample_bytes(problem))):
        return _unable_sentence(problem)
    return _link_sentence(problem)


def _too_few(problem: Problem) -> str:
    if not problem.nodes:
        return "no node can take part: start one, or wait until it is ready"
    if problem.min_stages > len(problem.nodes):
        return (
            f"{problem.min_stages} stages need as many nodes, and there are {len(problem.nodes)}: "
            "ask for fewer stages or add nodes"
        )
    if problem.min_stages > problem.layers:
        return (
            f"the model can be cut into at most {problem.layers} stages, not {problem.min_stages}: "
            "ask for fewer stages"
        )
    return ""


def _with_more_memory(problem: Problem, more_bytes: float) -> Problem:
    nodes = tuple(
        replace(node, memory_bytes=node.memory_bytes + more_bytes) for node in problem.nodes
    )
    return replace(problem, nodes=nodes)


def _without_gaps(problem: Problem) -> Problem:
    nodes = tuple(replace(node, layer_s=node.times_s) for node in problem.nodes)
    return replace(problem, nodes=nodes)


def _unable_sentence(problem: Problem) -> str:
    """Who cannot run what, by node id."""
    limited = limited_nodes(problem)
    reasons = [f"{problem.label(one.node_id)}: {one.reason}" for one in limited]
    return (
        f"no plan avoids what the nodes' runtimes cannot run: {'; '.join(reasons)}; "
        "add a node with a newer runtime"
    )


def _can_run(problem: Problem) -> bool:
    return can_run(Limits(build_grid(problem), NEVER - 1))


def _ample_bytes(problem: Problem) -> int:
    return math.ceil(
        problem.stage_memory_bytes
        + sum(problem.layer_memory_bytes)
        + sum(problem.receive_memory_bytes)
        + sum(problem.send_memory_bytes)
    )


def _memory_sentence(problem: Problem, find: Find) -> str:
    """Names what is missing in the plan that needs the least more memory on any one node."""
    low, high = 0, _ample_bytes(problem)
    while high - low > 1:
        middle = (low + high) // 2
        if _can_run(_with_more_memory(problem, middle)):
            high = middle
        else:
            low = middle
    nearest = find(_with_more_memory(problem, high)) or ()
    missing = [
        f"{problem.label(node_id)} lacks {wording.exact_size(math.ceil(to_float(ticks)))} for layers {layers}"
        for node_id, layers in nearest
        if (ticks := memory_ticks(problem, layers) - _room(problem, node_id)) > 0
    ]
    return (
        f"no plan fits into memory: in the nearest one {', and '.join(missing)}; "
        "free memory or add a node"
    )


def _room(problem: Problem, node_id: NodeId) -> int:
    return next(to_ticks(node.memory_bytes) for node in problem.nodes if node.node_id == node_id)


def _link_sentence(problem: Problem) -> str:
    gateway, ids = problem.gateway, sorted(node.node_id for node in problem.nodes)
    name = problem.label(gateway)
    if gateway is not None and gateway not in ids:
        if not any((gateway, node_id) in problem.links for node_id in ids):
            return f"there is no link from {name}, where requests come in, to any node: connect it"
        if not any((node_id, gateway) in problem.links for node_id in ids):
            return f"there is no link from any node to {name}, where replies go out: connect it"
    pairs = _unlinked(problem, ids)
    return f"too few nodes are linked for a plan: there is no link {', '.join(pairs)}; connect them"


def _unlinked(problem: Problem, ids: list[NodeId]) -> list[str]:
    """The first few pairs without a link."""
    ends = sorted({*ids} | ({problem.gateway} if problem.gateway is not None else set()))
    pairs = [
        f"{problem.label(sender)} → {problem.label(receiver)}"
        for sender in ends
        for receiver in ends
        if sender != receiver and (sender, receiver) not in problem.links
    ]
    return pairs[:3] + (["…"] if len(pairs) > 3 else [])
