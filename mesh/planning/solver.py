"""The exact optimum over replicas, pipelines, and pipelines of replicated stages, with its proof.

    weights ──bound──▶ sweep at rising limits ──plan, links at their best──▶ refine, links as they are
                                ▲                                                      │
    starts ──first plans────────┘                     best plan, proven bound ◀────────┘

A sweep at a limit finds the best plan of at most that period, or proves that there is none. Work is
counted, not timed: the same facts give the same plan everywhere. Where the budget ends first, the best
plan found comes with the proven gap.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from mesh.errors import InfeasibleError
from mesh.planning.problem import Objective, Problem
from mesh.planning.reasons.diagnosis import explain_infeasible
from mesh.planning.search.best import EQUAL
from mesh.planning.search.budget import DEFAULT_S, Budget
from mesh.planning.search.gateway import relieved
from mesh.planning.search.optimum import Search
from mesh.planning.solution import Solution

RELIEVED_SHARE = 0.3
"""Of the budget, what a search without the gateway's node may take."""


def solve(problem: Problem, budget_s: float = DEFAULT_S) -> Solution:
    """The best plan, with `optimal` and `gap` as far as the budget goes.

    `budget_s` = seconds of a desktop's core. Raises: InfeasibleError, which names the constraint.
    """
    try:
        found = find(problem, budget_s)
    except InfeasibleError as undecided:
        sentence = explain_infeasible(problem, find, is_proven=False)
        raise InfeasibleError(sentence) from undecided
    if found is None:
        raise InfeasibleError(explain_infeasible(problem, find))
    return found


def find(
    problem: Problem, budget_s: float | Budget = DEFAULT_S, *, known: Sequence[Solution] = ()
) -> Solution | None:
    """As `solve`; None where there is no plan. A budget may be shared by several searches.

    Plans `known` from elsewhere, of nodes of the problem, are where the search begins; they need
    not keep its constraints. Raises: InfeasibleError where the budget ended before either was known.
    """
    budget = budget_s if isinstance(budget_s, Budget) else Budget(budget_s)
    if not problem.nodes or problem.min_stages > min(len(problem.nodes), problem.layers):
        return None
    search = Search(problem, budget)
    if problem.objective is Objective.LATENCY or problem.latency_bound_s < math.inf:
        try:
            quickest = _quickest(problem, budget, known)
        except InfeasibleError:
            if problem.objective is Objective.LATENCY:
                raise
        else:
            if quickest is None or problem.objective is Objective.LATENCY:
                return quickest and _best_period_at(problem, quickest, budget)
            search.offer_quickest(quickest)
    for plan in (*known, *_without_the_gateway(problem, budget)):
        search.offer_solution(plan)
    return search.run()


def _without_the_gateway(problem: Problem, budget: Budget) -> list[Solution]:
    """The best plan in which the gateway's node, busy with requests, runs no stage: often the best of all."""
    idle = relieved(problem)
    if idle is None:
        return []
    try:
        with budget.at_most(RELIEVED_SHARE):
            found = find(idle, budget)
    except InfeasibleError:
        found = None
    return [] if found is None else [found]


def _quickest(problem: Problem, budget: Budget, known: Sequence[Solution]) -> Solution | None:
    """The least latency; without required nodes plain pipelines reach it.

    Raises: InfeasibleError where the budget ended first.
    """
    plain = problem if problem.required else replace(problem, max_replicas=1)
    search = Search(replace(plain, objective=Objective.LATENCY), budget)
    for plan in known:
        search.offer_solution(plan)
    return search.run()


def _best_period_at(problem: Problem, quickest: Solution, budget: Budget) -> Solution:
    """The best period at the least latency: more nodes where they do not slow the answer."""
    bound_s = max(quickest.latency_s * EQUAL, 5e-324)
    search = Search(
        replace(problem, objective=Objective.THROUGHPUT, latency_bound_s=bound_s), budget
    )
    search.offer_quickest(quickest)
    found = search.run() or quickest
    return replace(found, optimal=quickest.optimal, gap=quickest.gap)
