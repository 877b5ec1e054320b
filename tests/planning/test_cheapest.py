from collections.abc import Callable
from typing import TypeAlias

import pytest

from mesh.planning import Problem
from mesh.planning.cheapest import find_cheapest
from mesh.planning.grid import build_grid
from mesh.planning.limits import Limits
from mesh.planning.search import ANY
from mesh.planning.ticks import STAGE, to_float, to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]


def test_the_least_latency_under_a_period(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.125, "b": 0.25}, boundary_bytes=(0,) * 5))
    whole = find_cheapest(Limits(grid, ANY), ANY)
    split = find_cheapest(Limits(grid, to_ticks(0.375)), ANY)
    assert whole is not None
    assert split is not None
    assert whole.ticks == to_ticks(0.5) + STAGE
    assert split.ticks == to_ticks(0.625) + 2 * STAGE


def test_a_cap_is_kept_to_the_last_tick(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.2}))
    limits = Limits(grid, ANY)
    best = find_cheapest(limits, ANY)
    assert best is not None
    assert find_cheapest(limits, best.ticks) is not None
    assert find_cheapest(limits, best.ticks - 1) is None
    assert to_float(best.ticks) == pytest.approx(0.42)


def test_nothing_under_a_period_that_no_stage_keeps(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.2}))
    assert find_cheapest(Limits(grid, to_ticks(0.05)), ANY) is None
