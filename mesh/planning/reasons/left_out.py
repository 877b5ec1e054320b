"""Why a node has no stage: it could not, it was not allowed, or it would not help."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from mesh.ids import NodeId
from mesh.planning.problem import Objective, Problem
from mesh.planning.reasons.constraints import stages
from mesh.planning.reasons.hindrance import Hindrance, hindered_nodes
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import is_better
from mesh.planning.search.best import rank
from mesh.planning.solution import Solution


class WhyLeftOut(Enum):
    UNABLE = "unable"
    MEMORY = "memory"
    NO_LINK = "no link"
    PRIVATE = "private layers"
    LATENCY_BOUND = "latency bound"
    STAGE_LIMIT = "stage limit"
    REPLICA_LIMIT = "replica limit"
    SPLIT = "split"
    REQUIRED = "required nodes"
    NOT_FASTER = "not faster"
    NOT_PROVEN = "not proven"
    NOT_GIVEN = "not in the given plan"


_HINDRANCES = {
    Hindrance.UNABLE: WhyLeftOut.UNABLE,
    Hindrance.MEMORY: WhyLeftOut.MEMORY,
    Hindrance.PRIVATE: WhyLeftOut.PRIVATE,
    Hindrance.NO_LINK: WhyLeftOut.NO_LINK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A node without a stage; the sentence names it."""

    node_id: NodeId
    why: WhyLeftOut
    sentence: str


def left_out_nodes(
    problem: Problem, solution: Solution, questions: Questions, *, is_best: bool
) -> tuple[LeftOut, ...]:
    """The nodes without a stage, by id; `is_best` = no plan that keeps the constraints is known to be better."""
    used = set(solution.node_ids)
    ids = sorted(node.node_id for node in problem.nodes if node.node_id not in used)
    hindered = hindered_nodes(problem)
    whys = {one: _HINDRANCES[hindered[one].why] for one in ids if one in hindered}
    if is_best and len(whys) < len(ids):
        whys = _forbidden(problem, solution, questions) | whys
    otherwise = _otherwise(solution, is_best=is_best)
    return tuple(
        LeftOut(
            node_id=node_id,
            why=why,
            sentence=f"{problem.label(node_id)} "
            + (hindered[node_id].reason if node_id in hindered else _reason(problem, why)),
        )
        for node_id in ids
        for why in (whys.get(node_id, otherwise),)
    )


def _otherwise(solution: Solution, *, is_best: bool) -> WhyLeftOut:
    if not is_best:
        return WhyLeftOut.NOT_GIVEN
    return WhyLeftOut.NOT_FASTER if solution.optimal else WhyLeftOut.NOT_PROVEN


def _forbidden(
    problem: Problem, solution: Solution, questions: Questions
) -> dict[NodeId, WhyLeftOut]:
    """Nodes that a better plan would use but for one wish; of several, the one that costs most."""
    better: list[tuple[Solution, WhyLeftOut]] = []
    relaxed = list(_relaxed(problem))
    for place, (why, changed) in enumerate(relaxed):
        found = questions.best(changed, 1 / (len(relaxed) - place), known=[solution])
        if found is not None and is_better(problem.objective, found, solution):
            better.append((found, why))
    by_gain = sorted(better, key=lambda pair: rank(problem.objective, pair[0]), reverse=True)
    return {node_id: why for found, why in by_gain for node_id in found.node_ids}


def _relaxed(problem: Problem) -> Iterator[tuple[WhyLeftOut, Problem]]:
    if problem.required:
        yield WhyLeftOut.REQUIRED, replace(problem, required=frozenset())
    if problem.private_layers:
        yield WhyLeftOut.PRIVATE, replace(problem, private_layers=0)
    if problem.min_stages > 1:
        yield WhyLeftOut.SPLIT, replace(problem, min_stages=1)
    if problem.max_replicas is not None:
        yield WhyLeftOut.REPLICA_LIMIT, replace(problem, max_replicas=None)
    if problem.max_stages is not None:
        yield WhyLeftOut.STAGE_LIMIT, replace(problem, max_stages=None)
    if problem.latency_bound_s < math.inf and problem.objective is Objective.THROUGHPUT:
        yield WhyLeftOut.LATENCY_BOUND, replace(problem, latency_bound_s=math.inf)


def _reason(problem: Problem, why: WhyLeftOut) -> str:
    better = "answers sooner" if problem.objective is Objective.LATENCY else "is faster"
    nodes = "one node is" if problem.max_replicas == 1 else f"{problem.max_replicas} nodes are"
    most = f"{stages(problem.max_stages or 1)} {'is' if problem.max_stages == 1 else 'are'}"
    return {
        WhyLeftOut.PRIVATE: "would help, but may not run the first layers, which are private",
        WhyLeftOut.LATENCY_BOUND: "would raise the throughput, but answers would miss the latency bound",
        WhyLeftOut.STAGE_LIMIT: f"would help, but at most {most} allowed",
        WhyLeftOut.REPLICA_LIMIT: f"would help, but at most {nodes} allowed per stage",
        WhyLeftOut.SPLIT: f"would help, but not in a plan of {problem.min_stages} stages or more",
        WhyLeftOut.REQUIRED: "would help, but not beside the nodes that must take part",
        WhyLeftOut.NOT_FASTER: f"is not needed: no plan with it {better}",
        WhyLeftOut.NOT_PROVEN: f"is not needed: no plan was found that {better} with it",
        WhyLeftOut.NOT_GIVEN: "is not part of the given plan",
    }[why]
