"""Which nodes no plan could use, and why: operators, memory, private layers, links. Looks at each by itself."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.problem import PlanNode, Problem


class Hindrance(Enum):
    UNABLE = "unable"
    PRIVATE = "private"
    MEMORY = "memory"
    NO_LINK = "no link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindered:
    """`reason` continues a sentence that begins with the node's name."""

    why: Hindrance
    reason: str


def hindered_nodes(problem: Problem) -> dict[NodeId, Hindered]:
    """The nodes that can have no stage, whatever the others do."""
    found = {node.node_id: _by_itself(problem, node) for node in problem.nodes}
    ids = {node.node_id for node in problem.nodes}
    forward = [(a, b) for a, b in problem.links if {a, b} <= ids | {problem.gateway}]
    linked = _reached(problem, forward) & _reached(problem, [(b, a) for a, b in forward])
    unlinked = Hindered(
        why=Hindrance.NO_LINK, reason="has no link by which a request could come and go on"
    )
    return {
        node_id: hindered
        for node_id, own in sorted(found.items())
        if (hindered := own or (None if node_id in linked else unlinked)) is not None
    }


def _by_itself(problem: Problem, node: PlanNode) -> Hindered | None:
    if None in node.layer_s and set(node.layer_s) == {None}:
        return Hindered(why=Hindrance.UNABLE, reason="can run none of the layers")
    needs = list(_stage_bytes(problem, node))
    if not needs:
        return _without_a_stage(problem, node)
    lacks = math.ceil(min(needs) - node.memory_bytes)
    if lacks <= 0:
        return None
    what = "the whole model" if problem.max_stages == 1 else "even one layer"
    return Hindered(
        why=Hindrance.MEMORY,
        reason=f"has not enough memory for {what}: it lacks {wording.exact_size(lacks)}",
    )


def _without_a_stage(problem: Problem, node: PlanNode) -> Hindered:
    if problem.max_stages == 1 and None in node.layer_s:
        return Hindered(why=Hindrance.UNABLE, reason="cannot run every layer")
    reason = "may run none of the layers: those it can run are private to other nodes"
    return Hindered(why=Hindrance.PRIVATE, reason=reason)


def _stage_bytes(problem: Problem, node: PlanNode) -> Iterator[float]:
    """For each end of a stage that the node may run, the memory of the smallest such stage."""
    held = list(accumulate(problem.layer_memory_bytes, initial=0.0))
    nothing = (0.0,) * (problem.layers + 1)
    receive, send = problem.receive_memory_bytes or nothing, problem.send_memory_bytes or nothing
    first = 0 if node.node_id in problem.private_nodes else problem.private_layers
    spared = math.inf  # the least that stages with an allowed start take up to there
    for stop in range(1, problem.layers + 1):
        start = stop - 1
        if node.layer_s[start] is None:
            spared = math.inf
            continue
        if start >= first and not (problem.max_stages == 1 and start > 0):
            spared = min(spared, receive[start] - held[start])
        if spared < math.inf and not (problem.max_stages == 1 and stop < problem.layers):
            yield problem.stage_memory_bytes + held[stop] + send[stop] + spared


def _reached(problem: Problem, pairs: list[tuple[NodeId, NodeId]]) -> set[NodeId]:
    """The nodes to which a frame of the gateway can come; all, where it may begin anywhere."""
    if problem.gateway is None:
        return {node.node_id for node in problem.nodes}
    reached, fresh = {problem.gateway}, {problem.gateway}
    while fresh:
        fresh = {b for a, b in pairs if a in fresh} - reached
        reached |= fresh
    return reached
