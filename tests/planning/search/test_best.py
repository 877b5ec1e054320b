from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Assignment, Objective, Problem, Solution, evaluate
from mesh.planning.search.best import Best, assign, is_better, keeps, proven, rank
from mesh.planning.search.kinds import kinds_of

MakeProblem: TypeAlias = Callable[..., Problem]

A, B = NodeId("a"), NodeId("b")


def plan(*parts: tuple[str, int, int]) -> Assignment:
    """Each letter of a name is a node."""
    return [
        (tuple(NodeId(one) for one in names), LayerRange(start=start, stop=stop))
        for names, start, stop in parts
    ]


def figures(problem: Problem, *parts: tuple[str, int, int]) -> Solution:
    return evaluate(problem, plan(*parts))


def test_the_objective_says_which_figure_comes_first(simple_problem: MakeProblem) -> None:
    solution = figures(simple_problem({"a": 0.1}), ("a", 0, 4))
    both = (solution.bottleneck_s, solution.latency_s)
    assert rank(Objective.THROUGHPUT, solution) == both
    assert rank(Objective.LATENCY, solution) == both[::-1]


def test_equal_figures_are_told_apart_by_nodes_then_stages_then_ids(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem(dict.fromkeys("abc", 0.1), gateway=None, boundary_bytes=(0,) * 5)
    problem = replace(problem, nodes=tuple(replace(it, layer_s=(0.1,) * 4) for it in problem.nodes))
    best = [
        figures(problem, ("a", 0, 2), ("b", 2, 4)),
        figures(problem, ("a", 0, 2), ("c", 2, 4)),
        figures(problem, ("b", 0, 2), ("a", 2, 4)),
        figures(problem, ("a", 0, 2), ("bc", 2, 4)),
    ]
    for i, one in enumerate(best):
        for j, other in enumerate(best):
            assert is_better(Objective.THROUGHPUT, one, other) == (i < j)


def test_rounding_makes_no_difference(simple_problem: MakeProblem) -> None:
    solution = figures(simple_problem({"a": 0.1}), ("a", 0, 4))
    rounded = replace(solution, bottleneck_s=solution.bottleneck_s * (1 - 1e-14))
    assert not is_better(Objective.THROUGHPUT, rounded, solution)
    less = replace(solution, bottleneck_s=solution.bottleneck_s * (1 - 1e-11))
    assert is_better(Objective.THROUGHPUT, less, solution)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"min_stages": 2}, False),
        ({"min_stages": 1, "max_stages": 1}, True),
        ({"max_replicas": 1}, False),
        ({"max_replicas": 2}, True),
        ({"required": frozenset({A, B})}, True),
        ({"required": frozenset({NodeId("c")})}, False),
        ({"latency_bound_s": 0.5}, True),
        ({"latency_bound_s": 0.4}, False),
    ],
)
def test_constraints_that_evaluate_does_not_look_at(
    simple_problem: MakeProblem, changes: dict[str, object], kept: bool
) -> None:
    problem = simple_problem(dict.fromkeys("abc", 0.1), **changes)
    assert keeps(problem, figures(problem, ("ab", 0, 4))) == kept
    best = Best(problem=problem)
    assert (best.offer(plan(("ab", 0, 4))) is not None) == kept
    assert (best.solution is not None) == kept


def test_the_best_offered_is_kept_in_whatever_order_they_come(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=30)
    offers = [plan(("a", 0, 2), ("b", 2, 4)), plan(("a", 0, 3), ("b", 3, 4)), plan(("a", 0, 4))]
    for order in (offers, offers[::-1]):
        best = Best(problem=problem)
        for offer in order:
            best.offer(offer)
        assert best.solution == evaluate(problem, offers[0])
    assert best.offer(offers[-1]) is None  # does not fit


def test_numbers_of_kinds_become_the_next_nodes_by_id(simple_problem: MakeProblem) -> None:
    kinds = kinds_of(simple_problem({"d": 0.2, "b": 0.1, "a": 0.2, "c": 0.1, "e": 0.2}))
    assert assign(kinds, [((1, 0), 0, 1), ((1, 2), 1, 3), ((1, 0), 3, 4)]) == plan(
        ("a", 0, 1), ("bcd", 1, 3), ("e", 3, 4)
    )


def test_a_proof_reads_as_a_gap(simple_problem: MakeProblem) -> None:
    solution = figures(simple_problem({"a": 0.1}), ("a", 0, 4))
    for bound_s, optimal, gap in ((0.4, True, 0.0), (0.5, True, 0.0), (0.3, False, 0.25)):
        found = proven(solution, Objective.THROUGHPUT, bound_s)
        assert found.optimal is optimal
        assert found.gap == pytest.approx(gap)
    assert proven(solution, Objective.LATENCY, 0.0).gap == 1.0
