import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.planning import Objective, Problem
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.engine import Engine
from mesh.planning.search.space import build_space
from mesh.planning.search.tables import build_tables
from mesh.planning.search.weights import best_weights
from tests.planning.brute_force import best_figures
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None)


def engine_of(problem: Problem, budget_s: float = 2.0) -> Engine:
    tables = build_tables(problem)
    space = build_space(tables.counts, problem.max_replicas)
    assert space is not None
    return Engine(tables, space, best_weights(tables), Budget(budget_s))


@some
@given(seeds)
def test_the_least_period_is_a_bound_that_its_own_plan_has(seed: int) -> None:
    problem = replace(
        random_problem(seed), objective=Objective.THROUGHPUT, latency_bound_s=math.inf
    )
    engine, best = engine_of(problem), best_figures(problem)
    figure, stages = engine.least_period(math.inf)
    if best is not None:
        assert figure <= best.period_s * (1 + 1e-9) + 1e-11  # a pace of nothing counts a little
    if stages is not None:
        assert engine.period_of(stages) == pytest.approx(figure, rel=1e-12)
        assert engine.least_period(figure * (1 - 1e-6))[1] is None


@some
@given(seeds, st.floats(min_value=0.2, max_value=4.0))
def test_the_least_latency_is_a_bound_within_its_limits(seed: int, limit_s: float) -> None:
    problem = replace(random_problem(seed), objective=Objective.LATENCY, latency_bound_s=math.inf)
    engine, best = engine_of(problem), best_figures(problem)
    stages = engine.least_latency(math.inf, math.inf)
    if best is not None:
        assert stages is not None
        assert engine.latency_of(stages) <= best.latency_s * (1 + 1e-9)
    within = engine.least_latency(limit_s, math.inf)
    if within is not None:
        assert stages is not None
        assert engine.period_of(within) <= limit_s
        assert engine.latency_of(within) >= engine.latency_of(stages) * (1 - 1e-9)
        bound_s = engine.latency_of(within)
        assert engine.least_latency(limit_s, bound_s) is not None
        assert engine.least_latency(limit_s, bound_s * (1 - 1e-6) - 1e-9) is None


@some
@given(seeds, st.floats(min_value=0.2, max_value=4.0))
def test_a_quick_look_finds_only_plans_that_keep_both_limits(seed: int, limit_s: float) -> None:
    engine = engine_of(random_problem(seed))
    least = engine.least_latency(limit_s, 2.0)
    found = engine.low_latency(limit_s, 2.0)
    assert (found is None) == (least is None)  # so small that nothing is left out
    if found is not None and least is not None:
        assert engine.period_of(found) <= limit_s
        assert engine.latency_of(found) == pytest.approx(engine.latency_of(least), rel=1e-9)


def test_required_nodes_count_in_both(simple_problem: MakeProblem) -> None:
    slow = simple_problem({"a": 0.1, "b": 5.0}, required=frozenset({NodeId("b")}))
    engine = engine_of(slow)
    _, by_period = engine.least_period(math.inf)
    by_latency = engine.least_latency(math.inf, math.inf)
    for stages in (by_period, by_latency):
        assert stages is not None
        assert sum(team[1] for team, _, _ in stages) == 1


def test_every_question_costs(simple_problem: MakeProblem) -> None:
    engine = engine_of(simple_problem(dict.fromkeys("abcd", 0.1)), 1e-6)
    with pytest.raises(OutOfBudgetError):
        engine.least_period(math.inf)
    with pytest.raises(OutOfBudgetError):
        engine.least_latency(math.inf, math.inf)
