import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Objective, Problem, Solution, evaluate
from mesh.planning.reasons.ranking import broken_wish, is_better, times_better

MakeProblem: TypeAlias = Callable[..., Problem]


@pytest.fixture
def halves(simple_problem: MakeProblem) -> Solution:
    """Layers 0–1 on a and b, 2–3 on c."""
    return evaluate(
        simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}),
        [
            ((NodeId("a"), NodeId("b")), LayerRange(start=0, stop=2)),
            ((NodeId("c"),), LayerRange(start=2, stop=4)),
        ],
    )


def test_better_goes_by_the_figure_that_counts(halves: Solution) -> None:
    quicker = replace(halves, latency_s=halves.latency_s / 2)
    assert not is_better(Objective.THROUGHPUT, quicker, halves)
    assert is_better(Objective.LATENCY, quicker, halves)
    assert times_better(Objective.LATENCY, quicker, halves) == 2


def test_figures_that_differ_by_rounding_are_equal(halves: Solution) -> None:
    rounded = replace(halves, bottleneck_s=halves.bottleneck_s * (1 - 1e-15))
    assert not is_better(Objective.THROUGHPUT, rounded, halves)


def test_a_plan_that_takes_nothing(halves: Solution) -> None:
    nothing = replace(halves, bottleneck_s=0.0)
    assert times_better(Objective.THROUGHPUT, nothing, halves) == math.inf
    assert times_better(Objective.THROUGHPUT, nothing, nothing) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"latency_bound_s": 0.1}, "misses the latency bound of 100 ms"),
        ({"min_stages": 3}, "fewer than 3 stages"),
        ({"max_stages": 1}, "more than 1 stages"),
        ({"max_replicas": 1}, "stages of more than 1 nodes"),
        ({"required": frozenset({NodeId("d")})}, "d, which must take part, has no stage"),
    ],
)
def test_broken_wish_is_named(
    simple_problem: MakeProblem, halves: Solution, changes: dict[str, object], words: str
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}, **changes)
    broken = broken_wish(problem, halves)
    assert words in broken
    assert bool(broken) == bool(words)
