from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning import Problem
from mesh.planning.evaluation import SHORTEST_S
from mesh.planning.search.best import Best, assign
from mesh.planning.search.starts import chains, first_plans, period_table
from mesh.planning.search.tables import build_tables
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None)


@some
@given(seeds)
def test_first_plans_cover_all_layers_with_nodes_that_exist(seed: int) -> None:
    tables = build_tables(random_problem(seed))
    for period_s, stages in first_plans(tables):
        assert period_s < np.inf
        bounds = [(start, stop) for _, start, stop in stages]
        assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
        assert bounds[-1][1] == tables.layers
        used = np.sum([team for team, _, _ in stages], axis=0)
        assert (used <= np.asarray(tables.counts)).all()


@some
@given(seeds)
def test_a_first_plan_takes_no_less_than_is_said_of_it(seed: int) -> None:
    """Links count at their best: exact figures are the same or longer."""
    problem = random_problem(seed)
    tables = build_tables(problem)
    for period_s, stages in first_plans(tables):
        solution = Best(problem=problem).offer(assign(tables.kinds, stages))
        assert solution is None or solution.bottleneck_s >= period_s * (1 - 1e-9) - SHORTEST_S


def test_equal_links_make_the_first_plans_exact(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2})
    tables = build_tables(problem)
    for period_s, stages in first_plans(tables):
        solution = Best(problem=problem).offer(assign(tables.kinds, stages))
        assert solution is not None
        assert solution.bottleneck_s == pytest.approx(period_s)


def every_cut(layers: int, parts: int) -> Iterator[tuple[int, ...]]:
    for inner in combinations(range(1, layers), parts - 1):
        yield (0, *inner, layers)


@some
@given(seeds)
def test_chains_are_cut_where_the_period_is_shortest(seed: int) -> None:
    tables = build_tables(random_problem(seed))
    teams = [
        tuple(int(k == other) for other in range(len(tables.kinds)))
        for k in range(len(tables.kinds))
    ]
    periods = [period_table(tables, team) for team in teams]
    found = {len(places): (period_s, places) for period_s, places in chains(tables, periods)}
    for number in range(1, len(teams) + 1):
        expected = min(
            (
                max(
                    float(period[cut]) for period, cut in zip(periods, pairwise(cuts), strict=False)
                )
                for cuts in every_cut(tables.layers, number)
            ),
            default=np.inf,
        )
        if expected == np.inf:
            assert number not in found
        else:
            period_s, places = found[number]
            assert period_s == expected
            assert max(float(periods[i][place]) for i, place in enumerate(places)) == expected
