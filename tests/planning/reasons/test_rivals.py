from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.planning import Objective, PlanLink, Problem, Solution
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.rivals import Rivals, find_rivals, standing_for
from mesh.planning.search.best import rank
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]
EverySolution: TypeAlias = Callable[[Problem], Iterator[Solution]]


def rivals_of(problem: Problem) -> Rivals:
    known = find(problem)
    assert known is not None
    return find_rivals(problem, known, Questions(search=find, budget=Budget(60.0)))


def best(problem: Problem, plans: list[Solution]) -> float | None:
    figures = [rank(problem.objective, plan)[0] for plan in plans]
    return min(figures, default=None)


@pytest.mark.parametrize("block", range(4))
def test_rivals_are_those_that_trying_everything_finds(
    random_problem: RandomProblem, every_solution: EverySolution, block: int
) -> None:
    for seed in range(block * 20, block * 20 + 20):
        problem = random_problem(seed)
        problem = replace(problem, nodes=problem.nodes[:4])
        if find(problem) is None:
            continue
        plans = list(every_solution(replace(problem, min_stages=1)))
        rivals = rivals_of(problem)
        forms = (
            (rivals.single, [one for one in plans if len(one.node_ids) == 1]),
            (rivals.replicas, [p for p in plans if len(p.stages) == 1 and len(p.node_ids) > 1]),
            (rivals.pipeline, [one for one in plans if len(one.stages) > 1]),
        )
        for found, tried in forms:
            expected = best(problem, tried)
            ours = None if found is None else rank(problem.objective, found)[0]
            assert ours == (None if expected is None else pytest.approx(expected)), seed
        assert (rivals.single is None) == bool(rivals.why_no_single)
        assert (rivals.replicas is None) == bool(rivals.why_no_replicas)
        assert (rivals.pipeline is None) == bool(rivals.why_no_pipeline)


def test_replicas_behind_slow_links_take_a_small_share(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1})
    slow = PlanLink(goodput_bytes_per_s=1.0, message_s=0.0)
    links = {pair: slow if {"b", "c"} & {*pair} else link for pair, link in problem.links.items()}
    rivals = rivals_of(replace(problem, links=links))
    assert rivals.single is not None
    assert rivals.replicas is not None
    assert rivals.single.node_ids == ("a",)
    first, *others = rivals.replicas.stages[0].replicas
    assert first.node_id == "a"
    assert all(0 < replica.share < first.share / 10 for replica in others)


def test_replicas_never_answer_sooner(simple_problem: MakeProblem) -> None:
    rivals = rivals_of(simple_problem({"a": 0.1, "b": 0.3}, objective=Objective.LATENCY))
    assert rivals.single is not None
    assert rivals.replicas is not None
    assert rivals.replicas.latency_s > rivals.single.latency_s


def test_what_the_search_has_found_is_not_sought_again(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}, max_replicas=1)
    known = find(problem)
    assert known is not None
    assert len(known.stages) > 1
    asked: list[Problem] = []

    def search(
        changed: Problem, budget: Budget, *, known: Sequence[Solution] = ()
    ) -> Solution | None:
        asked.append(changed)
        return find(changed, budget)

    rivals = find_rivals(problem, known, Questions(search=search, budget=Budget(10.0)))
    assert rivals.pipeline == known
    assert asked == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_replicas": 1}, "at most one node per stage was asked for"),
        ({"memory_bytes": 25}, "no two nodes can run the whole model"),
    ],
)
def test_why_there_are_no_replicas(
    simple_problem: MakeProblem, changes: dict[str, int], words: str
) -> None:
    assert words in rivals_of(simple_problem({"a": 0.1, "b": 0.1}, **changes)).why_no_replicas


def test_why_there_are_no_replicas_of_one_node(simple_problem: MakeProblem) -> None:
    assert rivals_of(simple_problem({"a": 0.1})).why_no_replicas == "there is only one node"


def test_why_there_is_no_single_node(simple_problem: MakeProblem) -> None:
    rivals = rivals_of(simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=25))
    assert rivals.why_no_single == "no plan fits into memory: it needs 15 bytes more on any node"


def test_why_there_is_no_pipeline(simple_problem: MakeProblem) -> None:
    assert "2 stages need as many nodes" in rivals_of(simple_problem({"a": 0.1})).why_no_pipeline
    limited = simple_problem({"a": 0.1, "b": 0.1}, max_stages=1)
    assert rivals_of(limited).why_no_pipeline == "only one stage was asked for"
    bound = simple_problem({"a": 0.1, "b": 0.1}, latency_bound_s=0.425)
    assert "raise the latency bound to at least 430" in rivals_of(bound).why_no_pipeline


def test_a_chosen_plan_stands_for_the_rival_that_shows_equal_figures(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=20, max_replicas=1)
    rivals = rivals_of(problem)
    best = rivals.pipeline
    assert best is not None
    given = replace(best, bottleneck_s=best.bottleneck_s * 1.0005, optimal=False, gap=1.0)
    stands = standing_for(problem, given, rivals).pipeline
    assert stands is not None
    assert stands.bottleneck_s == given.bottleneck_s
    assert not stands.optimal
    assert stands.gap == pytest.approx(0.0005, rel=0.01)
    equal = standing_for(problem, replace(best, optimal=False, gap=1.0), rivals).pipeline
    assert equal is not None
    assert (equal.optimal, equal.gap) == (True, 0.0)
    worse = replace(best, bottleneck_s=best.bottleneck_s * 1.01)
    assert standing_for(problem, worse, rivals) == rivals
    later = replace(best, latency_s=best.latency_s * 1.01)
    assert standing_for(problem, later, rivals) == rivals


def test_a_chosen_plan_stands_for_no_other_form(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    rivals = rivals_of(problem)
    assert rivals.single is not None
    assert rivals.replicas is not None
    for own in (rivals.single, rivals.replicas):
        assert standing_for(problem, own, rivals) == rivals
