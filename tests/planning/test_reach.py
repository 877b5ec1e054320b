from collections.abc import Callable
from typing import TypeAlias

import pytest

from mesh.planning import Problem
from mesh.planning.grid import build_grid
from mesh.planning.limits import Limits
from mesh.planning.reach import can_run, useful_starts
from mesh.planning.ticks import to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]


@pytest.mark.parametrize(
    ("threshold_s", "runs"), [(0.19, False), (0.2, True), (0.4, True), (0.0, False)]
)
def test_a_pipeline_runs_from_its_period_on(
    simple_problem: MakeProblem, threshold_s: float, runs: bool
) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.1}))
    assert can_run(Limits(grid, to_ticks(threshold_s))) is runs


def test_a_forced_number_of_stages_leaves_layers_for_the_first_ones(
    simple_problem: MakeProblem,
) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}, min_stages=3))
    limits = Limits(grid, to_ticks(1.0))
    assert useful_starts(limits, used=1, count=1) == 0b11100
    assert useful_starts(limits, used=2, count=2) == 0b11110
    assert useful_starts(limits, used=3, count=3) == 0b00001
