from collections.abc import Callable
from typing import TypeAlias

from mesh.planning import Problem
from mesh.planning.grid import build_grid
from mesh.planning.search import ANY, least_latency, least_period, possible_periods
from mesh.planning.ticks import to_float, to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]


def test_every_period_that_can_occur_is_a_candidate(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, layers=2, boundary_bytes=(500, 0, 1000))
    assert [to_float(ticks) for ticks in possible_periods(build_grid(problem))] == [
        0.0,
        0.125,
        0.25,
        0.5,
        1.0,
    ]


def test_a_cap_on_latency_raises_the_period(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.125, "b": 0.25}, boundary_bytes=(0,) * 5))
    free, capped = least_period(grid, ANY), least_period(grid, to_ticks(0.6))
    assert free is not None
    assert capped is not None
    assert free.limits.threshold == to_ticks(0.375)
    assert capped.limits.threshold == to_ticks(0.5)
    assert least_period(grid, to_ticks(0.4)) is None
    assert least_latency(grid, to_ticks(0.4)) is None
