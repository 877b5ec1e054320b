"""The best plan seen so far, by stated rules; every candidate is evaluated exactly before it counts.

By the objective's figure, then the other one (figures that differ by less than one part in 10¹² are
equal), then fewer nodes, fewer stages, then node ids and cuts in order: the same for every order in
which candidates come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.problem import Objective, Problem
from mesh.planning.search.kinds import Kind
from mesh.planning.solution import Solution

EQUAL = 1 + 1e-12
"""Figures that differ by less are equal: sums round."""


@dataclass(slots=True, kw_only=True)
class Best:
    """`solution` = the best of those offered that keep every constraint."""

    problem: Problem
    solution: Solution | None = None

    def offer(self, assignment: Assignment) -> Solution | None:
        """Evaluate a plan and keep it when it is better; None where it breaks a constraint."""
        try:
            solution = evaluate(self.problem, assignment)
        except InfeasibleError:
            return None
        if not keeps(self.problem, solution):
            return None
        if self.solution is None or is_better(self.problem.objective, solution, self.solution):
            self.solution = solution
        return solution


def keeps(problem: Problem, solution: Solution) -> bool:
    """Whether a plan keeps the bounds that `evaluate` does not look at."""
    stages = len(solution.stages)
    return (
        solution.latency_s <= problem.latency_bound_s * EQUAL
        and problem.min_stages <= stages <= (problem.max_stages or stages)
        and max(len(stage.replicas) for stage in solution.stages) <= (problem.max_replicas or 1024)
        and problem.required <= set(solution.node_ids)
    )


def is_better(objective: Objective, one: Solution, other: Solution) -> bool:
    """Whether one plan comes before the other by the rules above."""
    for ours, theirs in zip(rank(objective, one), rank(objective, other), strict=True):
        if ours * EQUAL < theirs:
            return True
        if theirs * EQUAL < ours:
            return False
    return _form(one) < _form(other)


def rank(objective: Objective, solution: Solution) -> tuple[float, float]:
    """Smaller is better."""
    figures = (solution.bottleneck_s, solution.latency_s)
    return figures if objective is Objective.THROUGHPUT else figures[::-1]


def _form(solution: Solution) -> tuple[object, ...]:
    cuts = tuple(stage.layers.stop for stage in solution.stages)
    return len(solution.node_ids), len(solution.stages), solution.node_ids, cuts


def assign(
    kinds: Sequence[Kind], stages: Sequence[tuple[Sequence[int], int, int]]
) -> list[tuple[tuple[NodeId, ...], LayerRange]]:
    """Numbers of each kind, with start and stop, as nodes: of a kind the next ones by id."""
    taken = [0] * len(kinds)
    assignment = []
    for numbers, start, stop in stages:
        ids: list[NodeId] = []
        for k, number in enumerate(numbers):
            nodes = kinds[k].nodes[taken[k] : taken[k] + number]
            ids += [node.node_id for node in nodes]
            taken[k] += number
        assignment.append((tuple(sorted(ids)), LayerRange(start=start, stop=stop)))
    return assignment


def proven(solution: Solution, objective: Objective, bound_s: float) -> Solution:
    """The solution with what is known of its distance to the best possible."""
    figure = rank(objective, solution)[0]
    if figure <= max(bound_s, 0.0) * EQUAL:
        return replace(solution, optimal=True, gap=0.0)
    return replace(solution, optimal=False, gap=(figure - bound_s) / figure)
