"""Why a node has no stage: it could not, it was not allowed, or it would not help."""

import math
from dataclasses import dataclass, replace
from enum import Enum

from mesh.ids import NodeId
from mesh.planning.grid import build_grid
from mesh.planning.problem import Objective, Problem
from mesh.planning.solution import Solution
from mesh.planning.solver import solve


class WhyLeftOut(Enum):
    UNABLE = "unable"
    MEMORY = "memory"
    NO_LINK = "no link"
    LATENCY_BOUND = "latency bound"
    STAGE_LIMIT = "stage limit"
    NOT_FASTER = "not faster"
    NOT_GIVEN = "not in the given plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A node without a stage; the sentence names it."""

    node_id: NodeId
    why: WhyLeftOut
    sentence: str


def left_out_nodes(problem: Problem, solution: Solution, *, is_best: bool) -> tuple[LeftOut, ...]:
    """The nodes without a stage, by id; `is_best` = no plan that keeps the constraints is better."""
    used = set(solution.node_ids)
    ids = sorted(node.node_id for node in problem.nodes if node.node_id not in used)
    if not ids:
        return ()
    reasons = _hindered(problem)
    if is_best:
        reasons = _limited(problem) | reasons
        otherwise = WhyLeftOut.NOT_FASTER
    else:
        otherwise = WhyLeftOut.NOT_GIVEN
    whys = {node_id: reasons.get(node_id, otherwise) for node_id in ids}
    return tuple(
        LeftOut(node_id=node_id, why=why, sentence=_sentence(problem, node_id, why))
        for node_id, why in whys.items()
    )


def _hindered(problem: Problem) -> dict[NodeId, WhyLeftOut]:
    """Nodes that no plan could use."""
    ids = {node.node_id for node in problem.nodes}
    forward = [(a, b) for a, b in problem.links if {a, b} <= ids | {problem.gateway}]
    linked = _reached(problem, forward) & _reached(problem, [(b, a) for a, b in forward])
    hindered = dict.fromkeys(ids - linked, WhyLeftOut.NO_LINK)
    for kind in build_grid(problem).kinds:
        if all(first == stop for stop, first in enumerate(kind.first_fit)):
            hindered |= dict.fromkeys(kind.node_ids, WhyLeftOut.MEMORY)
    unable = [node.node_id for node in problem.nodes if set(node.layer_s) == {None}]
    return hindered | dict.fromkeys(unable, WhyLeftOut.UNABLE)


def _reached(problem: Problem, pairs: list[tuple[NodeId, NodeId]]) -> set[NodeId]:
    """The nodes to which a frame of the gateway can come; all, where it may begin anywhere."""
    if problem.gateway is None:
        return {node.node_id for node in problem.nodes}
    reached, fresh = {problem.gateway}, {problem.gateway}
    while fresh:
        fresh = {b for a, b in pairs if a in fresh} - reached
        reached |= fresh
    return reached


def _limited(problem: Problem) -> dict[NodeId, WhyLeftOut]:
    """Nodes that the best plan would use but for the latency bound or the limit of stages."""
    whys: dict[NodeId, WhyLeftOut] = {}
    if problem.max_stages is not None:
        unlimited = solve(replace(problem, max_stages=None))
        whys |= dict.fromkeys(unlimited.node_ids, WhyLeftOut.STAGE_LIMIT)
    if problem.latency_bound_s < math.inf and problem.objective is Objective.THROUGHPUT:
        unbound = solve(replace(problem, latency_bound_s=math.inf))
        whys |= dict.fromkeys(unbound.node_ids, WhyLeftOut.LATENCY_BOUND)
    return whys


def _sentence(problem: Problem, node_id: NodeId, why: WhyLeftOut) -> str:
    better = "answers sooner" if problem.objective is Objective.LATENCY else "is faster"
    reasons = {
        WhyLeftOut.UNABLE: "can run none of the layers",
        WhyLeftOut.MEMORY: "has not enough memory for even one layer",
        WhyLeftOut.NO_LINK: "has no link by which a request could come and go on",
        WhyLeftOut.LATENCY_BOUND: "would raise the throughput, but answers would miss the latency bound",
        WhyLeftOut.STAGE_LIMIT: f"would help, but at most {problem.max_stages} stages are allowed",
        WhyLeftOut.NOT_FASTER: f"is not needed: no plan with it {better}",
        WhyLeftOut.NOT_GIVEN: "is not part of the given plan",
    }
    return f"{problem.label(node_id)} {reasons[why]}"
