import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh.planning import Problem
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.prices import best_prices
from mesh.planning.search.space import Space, build_space
from mesh.planning.search.sweep import Counting, Heads, Links, Measure, sweep, trace
from mesh.planning.search.tables import Tables, build_tables
from mesh.planning.search.teams import Teams
from mesh.planning.search.weights import best_weights, windows
from tests.planning.random_problems import Size, medium_problem, random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=40, deadline=None)
limits = st.sampled_from((math.inf, 0.5, 1.0, 2.0))


def laid_out(seed: int) -> tuple[Tables, Space, Teams]:
    """No machines are shared: windows know of them, a sweep's own figures do not."""
    problem = random_problem(seed)
    alone = tuple(replace(node, host_id="") for node in problem.nodes)
    tables = build_tables(replace(problem, nodes=alone))
    space = build_space(tables.counts, tables.problem.max_replicas)
    assert space is not None
    return tables, space, Teams(tables, space)


def swept(
    tables: Tables, space: Space, teams: Teams, limit_s: float, node_s: float | None
) -> Heads:
    measure = Measure(
        limit_s=limit_s,
        most_s=limit_s if node_s is None else math.inf,
        rest_s=np.zeros(tables.layers + 1),
        node_s=node_s,
    )
    reach = windows(tables, best_weights(tables), space, limit_s)
    return sweep(teams, reach, Counting.of(tables.problem), measure, Budget(2.0))


def naive_pipelines(space: Space, layers: int) -> Iterator[Links]:
    """Every sequence of teams with every choice of cuts, by recursion."""

    def following(used: int, start: int) -> Iterator[Links]:
        if start == layers:
            yield []
        for pair in range(space.first[used], space.first[used + 1]):
            team, union = int(space.teams[pair]), int(space.unions[pair])
            for stop in range(start + 1, layers + 1):
                for others in following(union, stop):
                    yield [(team, start, stop), *others]

    return following(0, 0)


def figure(teams: Teams, links: Links, limit_s: float, node_s: float | None) -> float:
    """Infinite beyond the limit."""
    team, start, stop = np.asarray(links, np.int64).T
    begun, which = teams.begin(team, start), np.arange(len(links))
    period_s = float(teams.period_s(begun, which, stop).max())
    if period_s == math.inf or period_s > limit_s:
        return math.inf
    if node_s is None:
        return period_s
    weight = node_s * (teams.space.totals[team] + 1 / 64)
    return float((teams.latency_s(begun, which, stop) + weight).sum())


@pytest.mark.parametrize("node_s", [None, 0.0, 1e-6])
@some
@given(seeds, limits)
@example(seed=14491, limit_s=0.5)
def test_the_best_whole_pipeline_is_that_of_a_naive_recursion(
    node_s: float | None, seed: int, limit_s: float
) -> None:
    tables, space, teams = laid_out(seed)
    problem = tables.problem
    heads = swept(tables, space, teams, limit_s, node_s)
    found, end = heads.best(np.ones(space.size, np.bool_))
    expected = min(
        (
            figure(teams, links, limit_s, node_s)
            for links in naive_pipelines(space, tables.layers)
            if problem.min_stages <= len(links) <= (problem.max_stages or len(links))
        ),
        default=math.inf,
    )
    assert found == pytest.approx(expected, rel=1e-12)
    assert (end is None) == (found == math.inf)
    if end is not None:
        links = trace(heads, teams, end)
        assert figure(teams, links, limit_s, node_s) == pytest.approx(found, rel=1e-12)
        assert [start for _, start, _ in links] == [0, *(stop for _, _, stop in links[:-1])]


@some
@given(seeds)
def test_required_nodes_are_in_the_best_pipeline(seed: int) -> None:
    tables, space, teams = laid_out(seed)
    heads = swept(tables, space, teams, math.inf, None)
    for used, required in product(range(space.size), (True, False)):
        only = np.arange(space.size) == used
        figure_s, end = heads.best(only if required else ~only)
        assert end is None or (end[1] == used) == required
        assert (end is None) == (figure_s == math.inf)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, [0, 0, 0]),
        ({"min_stages": 2}, [1, 2, 2]),
        ({"max_stages": 2}, [1, 2, None]),
        ({"min_stages": 2, "max_stages": 3}, [1, 2, 3, None]),
    ],
)
def test_stages_are_counted_as_far_as_it_matters(
    simple_problem: MakeProblem, changes: dict[str, int], counts: list[int | None]
) -> None:
    counting = Counting.of(simple_problem({"a": 0.1}, **changes))
    reached: list[int | None] = []
    count: int | None = 0
    for _ in counts:
        assert count is not None
        count = counting.after(count)
        reached.append(count)
    assert reached == counts


def test_a_sweep_stops_where_the_budget_ends(simple_problem: MakeProblem) -> None:
    tables = build_tables(simple_problem(dict.fromkeys("abcdef", 0.1), layers=30))
    space = build_space(tables.counts, None)
    assert space is not None
    reach = windows(tables, best_weights(tables), space, math.inf)
    measure = Measure(limit_s=math.inf, most_s=math.inf, rest_s=np.zeros(31))
    budget = Budget(1e-5)
    with pytest.raises(OutOfBudgetError):
        sweep(Teams(tables, space), reach, Counting.of(tables.problem), measure, budget)


def test_a_beam_follows_what_promises_most() -> None:
    """Fewer steps, and a whole pipeline that is no better than the best."""
    tables = build_tables(medium_problem(2, Size(kinds=7, per_kind=1, layers=20)))
    space = build_space(tables.counts, 1)
    assert space is not None
    reach = windows(tables, best_weights(tables), space, math.inf)
    rest_s, counting = np.zeros(tables.layers + 1), Counting.of(tables.problem)
    prices = best_prices(tables, math.inf, math.inf, Budget(2.0)).prices
    spent, figures = [], []
    for beam in (None, 20, 5):
        budget = Budget(10.0)
        measure = Measure(
            limit_s=math.inf,
            most_s=math.inf,
            rest_s=rest_s,
            node_s=0.0,
            priced_s=prices.rest_s,
            credit_s=prices.credit_s(space.digits),
            beam=beam,
        )
        heads = sweep(Teams(tables, space), reach, counting, measure, budget)
        figures.append(heads.best(np.ones(space.size, np.bool_))[0])
        spent.append(-budget.left)
    assert sorted(figures) == figures
    assert figures[-1] < 1.2 * figures[0]
    assert sorted(spent, reverse=True) == spent
