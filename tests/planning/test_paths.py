from collections.abc import Callable
from typing import TypeAlias

from mesh.planning import Problem
from mesh.planning.cheapest import find_cheapest
from mesh.planning.grid import build_grid
from mesh.planning.limits import Limits
from mesh.planning.paths import beginnings, least_period, steps
from mesh.planning.search import ANY
from mesh.planning.ticks import to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]


def test_splits_that_cost_nothing_are_all_paths(simple_problem: MakeProblem) -> None:
    """Two equal nodes with free transfers: one stage, or two with any of three cuts."""
    grid = build_grid(simple_problem({"a": 0.125, "b": 0.125}, boundary_bytes=(0,) * 5))
    limits = Limits(grid, ANY)
    cheapest = find_cheapest(limits, ANY, per_stage=0)
    assert cheapest is not None
    first = {state.stages: state for state in beginnings(limits, cheapest)}
    assert sorted(first) == [1, 2]
    assert [state.start for state in steps(limits, cheapest, first[1])] == [4]
    assert sorted(state.start for state in steps(limits, cheapest, first[2])) == [1, 2, 3]
    assert least_period(limits, cheapest) == to_ticks(0.25)
