import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning import Objective, Problem, solve
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.prices import Paths, Prices, Pricing, best_prices
from mesh.planning.search.space import build_space
from mesh.planning.search.tables import Tables, build_tables
from tests.planning.brute_force import best_figures, every_plan, figures
from tests.planning.random_problems import Size, medium_problem, random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None)


def priced(tables: Tables, limit_s: float = math.inf, known_s: float = math.inf) -> Prices:
    return best_prices(tables, limit_s, known_s, Budget(2.0)).prices


def test_without_scarce_nodes_the_bound_is_the_quickest_path(simple_problem: MakeProblem) -> None:
    tables = build_tables(simple_problem({"a": 0.1, "b": 0.2}))
    prices = priced(tables)
    assert prices.of_kind == (0.0, 0.0)
    assert prices.bound_s == pytest.approx(0.42)


def test_a_scarce_node_gets_a_price(simple_problem: MakeProblem) -> None:
    """The quick one holds half of the layers only, and must not be counted twice."""
    problem = simple_problem(
        {"a": 0.1, "b": 0.2}, layers=6, memory_bytes=30, boundary_bytes=(10,) * 7
    )
    prices = priced(build_tables(problem), known_s=2.0)
    assert prices.of_kind[0] > 0
    best = solve(replace(problem, objective=Objective.LATENCY))
    assert prices.bound_s == pytest.approx(best.latency_s, rel=0.02)


@some
@given(seeds, st.sampled_from((math.inf, 1.0, 2.0, 4.0)))
def test_no_plan_within_the_limit_answers_before_the_bound(seed: int, limit_s: float) -> None:
    problem = random_problem(seed)
    bound_s = priced(build_tables(problem), limit_s).bound_s
    for plan in islice(every_plan(problem), 2000):
        found = figures(problem, plan)
        if found is not None and found.period_s <= limit_s:
            assert found.latency_s >= bound_s * (1 - 1e-9)


@some
@given(seeds, st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=5, max_size=5))
def test_any_prices_bound_the_latency(seed: int, drawn: list[float]) -> None:
    problem = replace(random_problem(seed), objective=Objective.LATENCY, latency_bound_s=math.inf)
    tables, best = build_tables(problem), best_figures(problem)
    price = np.asarray(drawn[: len(tables.kinds)])
    rest_s, _, _ = Paths(tables, math.inf).cheapest(price)
    prices = Prices(of_kind=tuple(map(float, price)), rest_s=rest_s, counts=tables.counts)
    if best is not None:
        assert prices.bound_s <= best.latency_s * (1 + 1e-9)


@some
@given(seeds)
def test_credit_is_what_the_nodes_left_would_pay(seed: int) -> None:
    tables = build_tables(random_problem(seed))
    space = build_space(tables.counts, None)
    assert space is not None
    prices = priced(tables)
    credit_s = prices.credit_s(space.digits)
    assert credit_s[space.full] == pytest.approx(0.0, abs=1e-12)
    assert prices.rest_s[0] - credit_s[0] == pytest.approx(prices.bound_s)
    assert (credit_s >= -1e-12).all()


def test_plans_offered_take_no_more_nodes_than_there_are() -> None:
    for seed in range(6):
        tables = build_tables(medium_problem(seed, Size(kinds=4, per_kind=2, layers=20)))
        for stages in best_prices(tables, math.inf, math.inf, Budget(2.0)).plans:
            taken = np.sum([team for team, _, _ in stages], axis=0)
            assert (taken <= np.asarray(tables.counts)).all()
            assert [start for _, start, _ in stages] == [0, *(stop for _, _, stop in stages[:-1])]


def test_it_stops_as_soon_as_the_bound_is_beyond_what_is_known() -> None:
    tables = build_tables(medium_problem(0, Size(kinds=6, per_kind=1, layers=20)))
    budget = Budget(2.0)
    whole = budget.left
    best_prices(tables, math.inf, 1e-6, budget)
    assert whole - budget.left == pytest.approx(Paths(tables, math.inf).steps)
    with pytest.raises(OutOfBudgetError):
        best_prices(tables, math.inf, math.inf, Budget(1e-6))


def test_pricing_begins_where_it_left_off_and_asks_nothing_twice() -> None:
    tables = build_tables(medium_problem(3, Size(kinds=5, per_kind=1, layers=16)))
    budget = Budget(2.0)
    pricing = Pricing(tables, budget)
    first = pricing.at(math.inf, math.inf)
    left = budget.left
    assert pricing.at(math.inf, math.inf) is first
    assert budget.left == left
    bound_s = first.prices.bound_s
    assert pricing.excludes(math.inf, 0.9 * bound_s)
    assert not pricing.excludes(math.inf, 1.5 * bound_s)
