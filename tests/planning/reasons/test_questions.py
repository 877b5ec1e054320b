from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from mesh.errors import InfeasibleError
from mesh.planning import Objective, Problem, Solution
from mesh.planning.reasons.questions import Questions
from mesh.planning.search.budget import STEPS_PER_S, Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]


def test_best_is_what_the_search_finds(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2})
    questions = Questions(search=find, budget=Budget(10.0))
    assert questions.best(problem) == find(problem)
    assert not questions.is_open


def test_no_plan_is_an_answer(simple_problem: MakeProblem) -> None:
    questions = Questions(search=find, budget=Budget(10.0))
    assert questions.best(simple_problem({"a": 0.1}, memory_bytes=1)) is None
    assert not questions.is_open


def test_a_spent_budget_leaves_the_question_open(simple_problem: MakeProblem) -> None:
    questions = Questions(search=find, budget=Budget(0.0))
    assert questions.best(simple_problem({"a": 0.1})) is None
    assert questions.is_open


def test_a_search_that_does_not_tell_leaves_the_question_open(simple_problem: MakeProblem) -> None:
    def search(_: Problem, __: Budget, *, known: Sequence[Solution] = ()) -> Solution | None:
        raise InfeasibleError("no plan was found within the budget")

    questions = Questions(search=search, budget=Budget(10.0))
    assert questions.best(simple_problem({"a": 0.1})) is None
    assert questions.is_open


def test_a_question_gets_its_share_of_what_is_left(simple_problem: MakeProblem) -> None:
    given: list[float] = []

    def search(_: Problem, budget: Budget, *, known: Sequence[Solution] = ()) -> Solution | None:
        given.append(budget.left / STEPS_PER_S)
        budget.spend(budget.left)
        return None

    questions = Questions(search=search, budget=Budget(10.0))
    for _ in range(2):
        questions.best(simple_problem({"a": 0.1}), 0.5)
    assert 4.9 < given[0] < 5.0
    assert 2.4 < given[1] < 2.5


def test_any_plan_is_the_one_that_answers_soonest(simple_problem: MakeProblem) -> None:
    asked: list[Problem] = []

    def search(problem: Problem, _: Budget, *, known: Sequence[Solution] = ()) -> Solution | None:
        asked.append(problem)
        return None

    questions = Questions(search=search, budget=Budget(10.0))
    questions.any_plan(simple_problem({"a": 0.1, "b": 0.1}))
    questions.any_plan(simple_problem({"a": 0.1, "b": 0.1}, required=frozenset("ab")))
    assert [problem.objective for problem in asked] == [Objective.LATENCY] * 2
    assert [problem.max_replicas for problem in asked] == [1, None]


def test_plans_that_are_known_are_where_the_search_begins(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abcdef", 0.1), layers=12, memory_bytes=30)
    known = find(problem)
    assert known is not None
    asked: list[Sequence[Solution]] = []

    def search(_: Problem, __: Budget, *, known: Sequence[Solution] = ()) -> Solution | None:
        asked.append(known)
        return None

    Questions(search=search, budget=Budget(10.0)).best(problem, known=[known])
    assert asked == [[known]]
    found = find(problem, Budget(0.0), known=[known])
    assert found is not None
    assert found.bottleneck_s <= known.bottleneck_s


def test_a_known_plan_that_breaks_a_constraint_is_not_found(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    known = find(problem)
    assert known is not None
    poor = tuple(replace(node, memory_bytes=5) for node in problem.nodes)
    assert find(replace(problem, nodes=poor), known=[known]) is None
