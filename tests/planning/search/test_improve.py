from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning import Solution, solve
from mesh.planning.search.best import Best, assign
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.improve import improve
from mesh.planning.search.starts import Stages, first_plans
from mesh.planning.search.tables import Tables, build_tables
from tests.planning.random_problems import Size, medium_problem, random_problem

seeds = st.integers(min_value=0, max_value=10**9)


class Offers:
    """All plans offered, and the best of them."""

    def __init__(self, tables: Tables) -> None:
        self.best = Best(problem=tables.problem)
        self.stages: list[Stages] = []
        self._tables = tables

    def __call__(self, stages: Stages) -> Solution | None:
        self.stages.append(stages)
        return self.best.offer(assign(self._tables.kinds, stages))


def starts(tables: Tables) -> list[Stages]:
    return [stages for _, stages in first_plans(tables)][:8]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_offers_are_whole_pipelines_of_nodes_that_exist(seed: int) -> None:
    tables = build_tables(random_problem(seed))
    offers = Offers(tables)
    improve(tables, starts(tables), offers, Budget(2.0))
    for stages in offers.stages:
        assert [start for _, start, _ in stages] == [0, *(stop for _, _, stop in stages[:-1])]
        assert stages[-1][2] == tables.layers
        for k, count in enumerate(tables.counts):
            assert 0 <= sum(team[k] for team, _, _ in stages) <= count
        most = tables.problem.max_replicas or sum(tables.counts)
        assert all(0 < sum(team) <= most for team, _, _ in stages)


@pytest.mark.parametrize("seed", range(4))
def test_each_offer_is_better_and_the_last_comes_close(seed: int) -> None:
    problem = medium_problem(2 * seed, Size(kinds=3, per_kind=3, layers=24))
    tables = build_tables(problem)
    offers = Offers(tables)
    improve(tables, starts(tables), offers, Budget(2.0))
    periods = [
        solution.bottleneck_s
        for stages in offers.stages
        if (solution := Best(problem=problem).offer(assign(tables.kinds, stages))) is not None
    ]
    assert all(later < earlier for earlier, later in pairwise(periods))
    best = offers.best.solution
    assert best is not None
    assert best.bottleneck_s <= 1.25 * solve(problem, 20.0).bottleneck_s


def test_it_ends_with_the_budget() -> None:
    tables = build_tables(medium_problem(0, Size(kinds=6, per_kind=4, layers=60)))
    with pytest.raises(OutOfBudgetError):
        improve(tables, starts(tables), Offers(tables), Budget(1e-4))
