from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Objective, Problem, evaluate, explain, solve

MakeProblem: TypeAlias = Callable[..., Problem]


def verdict(problem: Problem) -> str:
    return explain(problem, solve(problem), with_helps=False).verdict


def test_one_node_is_best(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 5.0}, max_replicas=1)
    assert verdict(problem) == (
        "one node is best: a alone gives 2.5 requests/s, the best pipeline gives 0.2 requests/s"
    )


def test_one_node_is_best_of_all_forms(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 5.0}, objective=Objective.LATENCY)
    assert verdict(problem) == (
        "one node is best: a alone answers in 420 ms, the best replicas answer in 20 s, "
        "the best pipeline answers in 5.33 s"
    )


def test_a_pipeline_is_best(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, max_replicas=1)
    assert verdict(problem) == (
        "a 2-stage pipeline gives 5 requests/s, 2× the best single node: a alone gives 2.5 requests/s"
    )


def test_a_pipeline_is_the_quickest(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, objective=Objective.LATENCY)
    nodes = (
        replace(problem.nodes[0], layer_s=(0.1, 0.1, 0.9, 0.9)),
        replace(problem.nodes[1], layer_s=(0.9, 0.9, 0.1, 0.1)),
    )
    told = verdict(replace(problem, nodes=nodes))
    assert told.startswith("a 2-stage pipeline answers in 430 ms, 4.7× as quick as the best single")


def test_replicas_beat_every_pipeline(simple_problem: MakeProblem) -> None:
    assert verdict(simple_problem({"a": 0.1, "b": 0.15, "c": 0.2}, layers=2)) == (
        "3 replicas beat every pipeline: a, b and c give 10.8 requests/s, "
        "2.2× the best single node and 1.08× the best pipeline"
    )


def test_replicas_that_a_pipeline_equals(simple_problem: MakeProblem) -> None:
    assert verdict(simple_problem({"a": 0.1, "b": 0.1})) == (
        "2 replicas are best: a and b give 5 requests/s, 2× the best single node; "
        "no pipeline gives more"
    )


def test_replicas_without_any_pipeline(simple_problem: MakeProblem) -> None:
    assert verdict(simple_problem({"a": 0.1, "b": 0.1}, max_stages=1)).endswith(
        "2× the best single node; no pipeline meets the constraints"
    )


def test_a_pipeline_of_replicas_counts_its_nodes(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2, "c": 0.2}, min_stages=2, max_stages=2)
    assert "a 2-stage pipeline on 3 nodes gives" in verdict(problem)


def test_a_pipeline_is_weighed_against_replicas_too(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    nodes = (
        replace(problem.nodes[0], layer_s=(0.1, 0.1, 0.9, 0.9)),
        replace(problem.nodes[1], layer_s=(0.9, 0.9, 0.1, 0.1)),
    )
    assert verdict(replace(problem, nodes=nodes)) == (
        "a 2-stage pipeline gives 5 requests/s, 10× the best single node and "
        "5× the best replicas: 2 replicas give 1 requests/s"
    )


def test_a_forced_pipeline_says_so(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 5.0}, min_stages=2, max_replicas=1)
    assert verdict(problem) == (
        "a 2-stage pipeline gives 0.2 requests/s (2 or more were asked for); "
        "a alone gives 2.5 requests/s"
    )


def test_no_single_node_is_enough(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=25)
    assert verdict(problem).endswith("no single node meets the constraints")


def test_no_pipeline_is_possible(simple_problem: MakeProblem) -> None:
    assert verdict(simple_problem({"a": 0.1})).endswith("no pipeline meets the constraints")


@pytest.mark.parametrize(
    ("objective", "gap", "words"),
    [
        (Objective.THROUGHPUT, 0.2, "; none gives more than 25 % more"),
        (Objective.LATENCY, 0.2, "; none answers more than 20 % sooner"),
        (Objective.THROUGHPUT, 0.001, "; none gives more than 0.2 % more"),
    ],
)
def test_what_is_not_proven_is_said(
    simple_problem: MakeProblem, objective: Objective, gap: float, words: str
) -> None:
    problem = simple_problem({"a": 0.1, "b": 5.0}, objective=objective, max_replicas=1)
    found = replace(solve(problem), optimal=False, gap=gap)
    told = explain(problem, found, with_helps=False).verdict
    assert told.startswith("one node is the best found: a alone")
    assert told.endswith(words)


def given(problem: Problem) -> str:
    parts = [
        ((NodeId("b"),), LayerRange(start=0, stop=1)),
        ((NodeId("a"),), LayerRange(start=1, stop=4)),
    ]
    return explain(problem, evaluate(problem, parts)).verdict


def test_a_given_plan_is_compared_with_the_best(simple_problem: MakeProblem) -> None:
    assert given(simple_problem({"a": 0.1, "b": 0.12}, max_replicas=1)) == (
        "the given plan of 2 stages gives 3.33 requests/s; "
        "the best plan, of 2 stages, gives 4.17 requests/s"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"latency_bound_s": 0.43},
            "misses the latency bound of 430 ms; the best plan, of 1 stage",
        ),
        ({"max_stages": 1}, "more than 1 stages"),
        ({"min_stages": 3}, "fewer than 3 stages; 3 stages need as many nodes"),
    ],
)
def test_a_given_plan_that_breaks_a_constraint_says_so(
    simple_problem: MakeProblem, changes: dict[str, float], words: str
) -> None:
    assert words in given(simple_problem({"a": 0.1, "b": 0.12}, **changes))


def test_a_given_plan_that_is_the_best_is_called_so(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    found = solve(problem)
    plan = [(stage.node_ids, stage.layers) for stage in found.stages]
    assert explain(problem, evaluate(problem, plan)).verdict == verdict(problem)


def test_names_stand_in_the_verdict(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    named = replace(problem, nodes=(replace(problem.nodes[0], name="kitchen"),))
    assert "kitchen alone" in verdict(named)
