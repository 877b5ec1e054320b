"""By how much one of two plans is better; which wish a given one breaks. What is best is decided elsewhere."""

import math

from mesh.planning import wording
from mesh.planning.problem import Objective, Problem
from mesh.planning.search.best import EQUAL, rank
from mesh.planning.solution import Solution


def is_better(objective: Objective, one: Solution, other: Solution) -> bool:
    """By the figure that counts alone: the other one only breaks ties."""
    return rank(objective, one)[0] * EQUAL < rank(objective, other)[0]


def times_better(objective: Objective, one: Solution, other: Solution) -> float:
    """2 = twice the throughput, or half the latency."""
    ours, theirs = rank(objective, one)[0], rank(objective, other)[0]
    if ours > 0:
        return theirs / ours
    return 1.0 if theirs == ours else math.inf


def broken_wish(problem: Problem, solution: Solution) -> str:
    """The constraint that a given plan does not keep, as the end of a sentence; empty where it keeps all."""
    stages, most = len(solution.stages), max(len(stage.node_ids) for stage in solution.stages)
    if solution.latency_s > problem.latency_bound_s * EQUAL:
        return f"it misses the latency bound of {wording.duration(problem.latency_bound_s)}"
    if stages < problem.min_stages:
        return f"it has fewer than {problem.min_stages} stages"
    if problem.max_stages is not None and stages > problem.max_stages:
        return f"it has more than {problem.max_stages} stages"
    if problem.max_replicas is not None and most > problem.max_replicas:
        return f"it has stages of more than {problem.max_replicas} nodes"
    absent = sorted(problem.required - set(solution.node_ids))
    if absent:
        return f"{problem.label(absent[0])}, which must take part, has no stage"
    return ""
