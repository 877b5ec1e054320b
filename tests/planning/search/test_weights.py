from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, islice
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning import Objective, Problem
from mesh.planning.evaluation import SHORTEST_S
from mesh.planning.search.space import build_space
from mesh.planning.search.tables import Tables, build_tables
from mesh.planning.search.weights import best_weights, windows
from tests.planning.brute_force import Plan, best_figures, every_plan, figures
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None)


def test_for_layers_that_divide_evenly_the_bound_is_reached(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.2}, layers=5, gateway=None)
    tables = build_tables(problem)
    assert best_weights(tables).bound_s(tables.counts) == pytest.approx(0.2)


def test_what_only_one_node_can_run_weighs_all(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, layers=2, gateway=None)
    fast = replace(problem.nodes[1], layer_s=(None, 0.001))
    tables = build_tables(replace(problem, nodes=(problem.nodes[0], fast)))
    assert best_weights(tables).bound_s(tables.counts) == pytest.approx(0.1, rel=1e-3)


@some
@given(seeds)
def test_no_plan_is_below_the_bound(seed: int) -> None:
    problem = replace(random_problem(seed), objective=Objective.THROUGHPUT)
    tables, best = build_tables(problem), best_figures(problem)
    if best is not None:
        bound_s = best_weights(tables).bound_s(tables.counts)
        assert 0 < bound_s <= best.period_s * (1 + 1e-9) or best.period_s < 1e-9


def used_after(tables: Tables, plan: Plan) -> list[int]:
    """The used number before the first stage and after each."""
    kind_of = {node.node_id: k for k, kind in enumerate(tables.kinds) for node in kind.nodes}
    space = build_space(tables.counts, tables.problem.max_replicas)
    assert space is not None
    teams = [sum(space.steps[kind_of[one]] for one in group) for group, _, _ in plan]
    return list(accumulate(teams, initial=0))


@some
@given(seeds)
def test_windows_never_exclude_a_head_of_a_plan_that_keeps_the_limit(seed: int) -> None:
    problem = random_problem(seed)
    tables = build_tables(problem)
    space = build_space(tables.counts, problem.max_replicas)
    assert space is not None
    weights = best_weights(tables)
    for plan in islice(every_plan(problem), 100):
        found = figures(problem, plan)
        if found is None:
            continue
        limit_s = max(found.period_s, SHORTEST_S) * (1 + 1e-9)
        reach = windows(tables, weights, space, limit_s)
        used = used_after(tables, plan)
        for (_, start, stop), before, after in zip(plan, used, used[1:], strict=False):
            assert reach.least[after] <= stop <= reach.most[after]
            assert reach.until[stop] - reach.until[start] <= reach.reach[after - before]


def test_without_a_limit_windows_are_all_that_memory_allows(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=20, gateway=None)
    tables = build_tables(problem)
    space = build_space(tables.counts, None)
    assert space is not None
    reach = windows(tables, best_weights(tables), space, np.inf)
    assert reach.least.tolist() == [0, 2, 4]
    assert reach.most.tolist() == [0, 2, 4]
