import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.errors import InfeasibleError
from mesh.planning import Objective, Problem, solve
from mesh.planning.search.budget import Budget
from mesh.planning.search.optimum import Search

MakeProblem: TypeAlias = Callable[..., Problem]

SPEEDS = {"a": 0.1, "b": 0.12, "c": 0.3}


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("bound_s", [math.inf, 0.7])
def test_one_search_finds_what_solve_finds(
    simple_problem: MakeProblem, objective: Objective, bound_s: float
) -> None:
    problem = simple_problem(SPEEDS, objective=objective, latency_bound_s=bound_s)
    found = Search(problem, Budget()).run()
    assert found is not None
    best = solve(problem)
    figures = ("bottleneck_s", "latency_s")
    figure = figures[objective is Objective.LATENCY]
    assert getattr(found, figure) == pytest.approx(getattr(best, figure), rel=1e-9)
    assert found.optimal


def test_a_plan_from_elsewhere_is_kept_where_nothing_better_is_found(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem(SPEEDS)
    best = solve(problem)
    search = Search(problem, Budget(0.0))
    search.offer_solution(best)
    found = search.run()
    assert found is not None
    assert found.bottleneck_s == best.bottleneck_s


def test_without_a_budget_nothing_is_called_impossible(simple_problem: MakeProblem) -> None:
    problem = simple_problem(SPEEDS, memory_bytes=10, min_stages=2)
    with pytest.raises(InfeasibleError, match="within the planner's budget"):
        Search(problem, Budget(0.0)).run()
    assert Search(problem, Budget()).run() is None
    assert Search(replace(problem, min_stages=1), Budget()).run() is None
