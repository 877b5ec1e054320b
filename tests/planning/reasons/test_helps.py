from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, Problem, solve
from mesh.planning.reasons.helps import MIN_GAIN, Help, what_would_help
from mesh.planning.reasons.improvements import improvements
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import times_better
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def helps(problem: Problem, budget_s: float = 60.0) -> tuple[Help, ...]:
    questions = Questions(search=find, budget=Budget(budget_s))
    return what_would_help(problem, solve(problem), questions)


def slow_link(problem: Problem, sender: str, receiver: str) -> Problem:
    slow = PlanLink(goodput_bytes_per_s=10.0, message_s=0.0)
    return replace(problem, links={**problem.links, (NodeId(sender), NodeId(receiver)): slow})


def test_the_link_that_holds_everything_up_helps_most(simple_problem: MakeProblem) -> None:
    problem = slow_link(simple_problem({"a": 0.01}), "gw", "a")
    first, *_ = helps(problem)
    assert first.sentence == "a link twice as fast gw → a"
    assert first.requests_per_s == pytest.approx(2 * solve(problem).requests_per_s)
    assert first.latency_s == pytest.approx(solve(problem).latency_s - 0.5)


def test_another_node_helps_where_compute_holds_up(simple_problem: MakeProblem) -> None:
    told = helps(simple_problem({"a": 0.1, "b": 0.3}))
    assert told[0].sentence == "another node like a"
    assert told[0].requests_per_s == pytest.approx(2 / 0.4 + 1 / 1.2)
    assert not [one for one in told if "link" in one.sentence]


def test_memory_that_would_make_the_fast_node_do_more(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.9}, max_replicas=1)
    tight = replace(problem.nodes[0], memory_bytes=19)
    problem = replace(problem, nodes=(tight, problem.nodes[1]))
    memory = [one for one in helps(problem) if "more on" in one.sentence]
    # With all layers on a: 2.5 a second; 3 layers there would leave b one of 0.9 s.
    assert [one.sentence for one in memory] == ["21 bytes more on a"]
    assert memory[0].requests_per_s == pytest.approx(2.5)


def test_a_longer_latency_bound_is_told_as_a_figure_to_ask_for(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.43)
    (longer,) = [one for one in helps(problem) if "bound" in one.sentence]
    assert longer.sentence.startswith("a latency bound of 500")
    assert longer.requests_per_s == pytest.approx(1 / 0.4 + 1 / 0.48)


def test_a_wish_that_costs_throughput_is_told(simple_problem: MakeProblem) -> None:
    told = helps(simple_problem({"a": 0.1, "b": 5.0}, min_stages=2))
    assert "no split asked for" in [one.sentence for one in told]


def test_for_latency_what_answers_sooner_helps(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.3}, objective=Objective.LATENCY)
    told = helps(problem)
    assert [one.sentence for one in told] == ["a node twice as fast in place of a"]
    assert told[0].latency_s == pytest.approx(0.22)


def test_of_each_kind_only_the_best_is_told_and_the_best_of_all_first(
    random_problem: RandomProblem,
) -> None:
    told = 0
    for seed in range(0, 60, 3):
        problem = random_problem(seed)
        solution = find(problem)
        if solution is None or solution.bottleneck_s == 0:
            continue
        found = what_would_help(problem, solution, Questions(search=find, budget=Budget(60.0)))
        told += len(found)
        by_latency = problem.objective is Objective.LATENCY
        figures = [
            1 / one.latency_s if by_latency and one.latency_s else one.requests_per_s
            for one in found
        ]
        before = 1 / solution.latency_s if by_latency else solution.requests_per_s
        assert figures == sorted(figures, reverse=True), seed
        assert all(figure >= MIN_GAIN * before * (1 - 1e-9) for figure in figures), seed
    assert told > 10


def test_a_help_is_what_the_changed_problem_really_gives(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.17}, layers=5, max_replicas=1)
    plan = solve(problem)
    by_sentence = {one.sentence(plan): one for one in improvements(problem, plan)}
    for help_ in helps(problem):
        changed = by_sentence[help_.sentence].problem
        assert solve(changed).requests_per_s == pytest.approx(help_.requests_per_s)
        assert times_better(problem.objective, solve(changed), plan) >= MIN_GAIN


def test_without_a_budget_the_plan_as_it_is_tells_what_helps(simple_problem: MakeProblem) -> None:
    problem = slow_link(simple_problem({"a": 0.01}), "gw", "a")
    assert helps(problem, budget_s=0.0)[0].sentence == "a link twice as fast gw → a"


def test_nothing_helps_a_plan_that_takes_no_time(simple_problem: MakeProblem) -> None:
    assert helps(simple_problem({"a": 0.0}, boundary_bytes=(0,) * 5)) == ()
