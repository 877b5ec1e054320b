import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, Problem, solve
from mesh.planning.search.best import Best, assign
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.engine import Engine
from mesh.planning.search.refine import Limits
from mesh.planning.search.space import build_space
from mesh.planning.search.starts import Stages
from mesh.planning.search.tables import build_tables
from mesh.planning.search.weights import best_weights
from tests.planning.brute_force import best_figures
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
A, B, C, GATEWAY = (NodeId(name) for name in ("a", "b", "c", "gw"))


def refined(problem: Problem, budget_s: float = 2.0, *, by_latency: bool = False) -> Best:
    """From nothing known to the best plan, every link as it is."""
    tables = build_tables(problem)
    space = build_space(tables.counts, problem.max_replicas)
    assert space is not None
    engine = Engine(tables, space, best_weights(tables), Budget(budget_s))
    best, limits = Best(problem=problem), Limits(period_s=math.inf, latency_s=math.inf)

    def offer(stages: Stages) -> Limits:
        best.offer(assign(tables.kinds, stages))
        if best.solution is None:
            return limits
        if by_latency:
            return replace(limits, latency_s=best.solution.latency_s * (1 - 1e-12))
        return replace(limits, period_s=best.solution.bottleneck_s * (1 - 1e-12))

    engine.refine(limits, offer, by_latency=by_latency)
    return best


@pytest.mark.parametrize("by_latency", [False, True])
@settings(max_examples=60, deadline=None)
@given(seeds)
def test_from_nothing_it_finds_the_best_figure(by_latency: bool, seed: int) -> None:
    objective = Objective.LATENCY if by_latency else Objective.THROUGHPUT
    problem = replace(random_problem(seed), objective=objective, latency_bound_s=math.inf)
    expected, found = best_figures(problem), refined(problem, by_latency=by_latency).solution
    if expected is None or found is None:
        assert (expected, found) == (None, None)
    elif by_latency:
        assert found.latency_s == pytest.approx(expected.latency_s, rel=1e-9)
    else:
        assert found.bottleneck_s == pytest.approx(expected.period_s, rel=1e-9)


def test_wildly_unequal_links_are_gone_around(simple_problem: MakeProblem) -> None:
    """Only a → c → b is quick; every node has a quick link, so the sweep alone cannot tell."""
    problem = simple_problem(
        dict.fromkeys("abc", 0.1), layers=6, gateway=None, min_stages=3, max_replicas=1
    )
    slow = PlanLink(goodput_bytes_per_s=0.1, message_s=0.0)
    links = dict.fromkeys(problem.links, slow)
    links |= {pair: problem.links[pair] for pair in ((A, C), (C, B), (B, A))}
    links[B, A] = PlanLink(goodput_bytes_per_s=20.0, message_s=0.0)
    problem = replace(problem, links=links)
    found = refined(problem).solution
    assert found is not None
    assert found.node_ids == (A, C, B)
    assert solve(problem).node_ids == found.node_ids
    assert found.bottleneck_s == pytest.approx(0.2)


def test_a_missing_link_ends_a_branch(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, gateway=None, min_stages=2)
    problem = replace(problem, links={(B, A): problem.links[B, A]})
    found = refined(problem).solution
    assert found is not None
    assert found.node_ids == (B, A)
    assert refined(replace(problem, links={})).solution is None


def test_it_ends_with_the_budget(simple_problem: MakeProblem) -> None:
    with pytest.raises(OutOfBudgetError):
        refined(simple_problem(dict.fromkeys("abcdef", 0.1), layers=30), 1e-5)
