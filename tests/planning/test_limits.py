from collections.abc import Callable
from random import Random
from typing import TypeAlias

from mesh.planning import Problem
from mesh.planning.grid import build_grid
from mesh.planning.limits import Limits
from mesh.planning.search import ANY, possible_periods
from mesh.planning.ticks import to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def test_stages_and_transfers_beyond_the_threshold_are_not_allowed(
    simple_problem: MakeProblem,
) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.2}, boundary_bytes=(10, 10, 300, 10, 10)))
    limits = Limits(grid, to_ticks(0.2))
    assert limits.allows(0, 0, 2)
    assert not limits.allows(0, 0, 3)
    assert not limits.allows(1, 0, 2)
    assert not limits.allows(1, 2, 2)
    assert limits.sends[0][1] == 0b11011


def test_starts_are_those_of_all_allowed_stages(random_problem: RandomProblem) -> None:
    for seed in range(150):
        grid, draw = build_grid(random_problem(seed)), Random(seed)
        limits = Limits(grid, draw.choice([*possible_periods(grid), ANY]))
        stops = draw.getrandbits(grid.layers + 1)
        for kind in range(len(grid.kinds)):
            expected = {
                start
                for stop in range(grid.layers + 1)
                for start in range(stop)
                if stops >> stop & 1 and limits.allows(kind, start, stop)
            }
            assert limits.starts(kind, stops) == sum(1 << start for start in expected)


def test_work_left_to_unused_nodes_bounds_where_a_tail_may_start(
    simple_problem: MakeProblem,
) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.1}))
    limits = Limits(grid, to_ticks(0.1))
    assert limits.last_open(0) == 2
    assert limits.last_open(1) == 1
    assert limits.last_open(2) == 0
