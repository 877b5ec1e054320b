"""The exact optimum over every subset and order of nodes and every cut.

Ties are broken by the other figure (latency or period), then fewer stages, then node ids, then
smaller cuts; so the answer depends on the facts alone, not on the order in which they came. That
several nodes may share one machine is not searched: only the better of the pipeline found and
the best single node is taken, once `evaluate` has counted the machine's cores.
"""

from dataclasses import replace

from mesh.errors import InfeasibleError
from mesh.planning.diagnosis import explain_infeasible
from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.grid import build_grid
from mesh.planning.problem import Objective, Problem
from mesh.planning.search import least_latency, least_period
from mesh.planning.solution import BottleneckKind, Solution
from mesh.planning.ticks import last_ticks_within
from mesh.planning.tiebreak import first_of_cheapest


def solve(problem: Problem) -> Solution:
    """The best pipeline, one node included. Raises: InfeasibleError, which names the constraint."""
    assignment = find(problem)
    if assignment is None:
        raise InfeasibleError(explain_infeasible(problem, find))
    solution = evaluate(problem, assignment)
    if solution.bottleneck.kind is BottleneckKind.MACHINE:
        return _best_with_shared_machine(problem, solution)
    return replace(solution, optimal=True)


def find(problem: Problem) -> Assignment | None:
    """The best pipeline, shared machines left aside; None when there is none."""
    grid = build_grid(problem)
    if grid.min_stages > grid.max_stages:
        return None
    search = least_period if problem.objective is Objective.THROUGHPUT else least_latency
    found = search(grid, last_ticks_within(problem.latency_bound_s))
    return None if found is None else first_of_cheapest(found.limits, found.cheapest)


def rank(objective: Objective, solution: Solution) -> tuple[float, float]:
    """Smaller is better."""
    figures = (solution.bottleneck_s, solution.latency_s)
    return figures if objective is Objective.THROUGHPUT else figures[::-1]


def _best_with_shared_machine(problem: Problem, pipeline: Solution) -> Solution:
    if problem.min_stages > 1:
        return pipeline
    alone = find(replace(problem, max_stages=1))
    if alone is None:
        return pipeline
    return min(
        (evaluate(problem, alone), pipeline), key=lambda solution: rank(problem.objective, solution)
    )
