from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import pytest

from mesh.planning import Objective, Problem, Solution, solve
from mesh.planning.front import pareto_front

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]
EverySolution: TypeAlias = Callable[[Problem], Iterator[Solution]]


def figures(plans: Iterator[Solution] | tuple[Solution, ...]) -> list[tuple[float, float]]:
    """Latency and period of each point that none beats in both, rising latency."""
    front: list[tuple[float, float]] = []
    for latency_s, period_s in sorted((one.latency_s, one.bottleneck_s) for one in plans):
        if not front or period_s < front[-1][1] * (1 - 1e-9):
            front.append((latency_s, period_s))
    return front


def small(problem: Problem) -> Problem:
    """The problem with at most four nodes, so that every plan can be tried."""
    return replace(problem, nodes=problem.nodes[:4], required=frozenset())


@pytest.mark.parametrize("block", range(5))
def test_front_is_the_one_that_trying_everything_finds(
    random_problem: RandomProblem, every_solution: EverySolution, block: int
) -> None:
    for seed in range(block * 12, block * 12 + 12):
        problem = small(random_problem(seed))
        expected = figures(every_solution(problem))
        points = pareto_front(problem, most=64)
        found = [(one.latency_s, one.bottleneck_s) for one in points]
        assert found == [pytest.approx(point, rel=1e-9) for point in expected], seed
        assert all(one.optimal for one in points), seed


def test_ends_are_the_optima_of_the_two_objectives(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.17, "c": 0.23}, layers=7)
    points = pareto_front(problem)
    assert points[0].latency_s == solve(replace(problem, objective=Objective.LATENCY)).latency_s
    assert points[-1].bottleneck_s == solve(problem).bottleneck_s


def test_both_figures_rise_along_the_front(simple_problem: MakeProblem) -> None:
    points = pareto_front(simple_problem({"a": 0.1, "b": 0.17, "c": 0.23}, layers=7))
    assert len(points) > 2
    for one, other in pairwise(points):
        assert one.latency_s < other.latency_s
        assert one.requests_per_s < other.requests_per_s


def test_of_a_long_front_so_many_points_are_picked_with_its_ends(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.17, "c": 0.23, "d": 0.31}, layers=9)
    everything = [one.latency_s for one in pareto_front(problem, most=64)]
    some = [one.latency_s for one in pareto_front(problem, most=4)]
    assert len(everything) > 4 == len(some)
    assert set(some) <= set(everything)
    assert (some[0], some[-1]) == (everything[0], everything[-1])


def test_front_ends_at_the_latency_bound(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.43)
    assert [one.latency_s for one in pareto_front(problem)] == pytest.approx([0.42])


def test_one_plan_may_be_the_whole_front(simple_problem: MakeProblem) -> None:
    assert len(pareto_front(simple_problem({"a": 0.1}))) == 1


def test_without_a_plan_there_is_no_front(simple_problem: MakeProblem) -> None:
    assert pareto_front(simple_problem({"a": 0.1}, memory_bytes=1)) == ()
    assert pareto_front(simple_problem({})) == ()


def test_the_same_facts_give_the_same_front(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.17, "c": 0.23}, layers=7)
    turned = replace(problem, nodes=problem.nodes[::-1])
    assert pareto_front(problem) == pareto_front(turned)


def test_no_point_is_worse_than_a_plan_that_is_known(simple_problem: MakeProblem) -> None:
    """On next to no budget, on which the search finds nothing itself."""
    problem = simple_problem({f"n{i}": 0.1 + 0.01 * i for i in range(6)}, layers=12)
    known = solve(problem)
    points = pareto_front(problem, known=(known,), budget_s=0.02)
    assert any(
        one.bottleneck_s <= known.bottleneck_s and one.latency_s <= known.latency_s
        for one in points
    )
    bounded = replace(problem, latency_bound_s=known.latency_s / 100)
    assert pareto_front(bounded, known=(known,), budget_s=0.02) == ()
