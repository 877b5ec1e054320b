from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Explanation, Objective, Problem, evaluate, explain, solve

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def explained(problem: Problem) -> Explanation:
    return explain(problem, solve(problem))


def test_one_node_is_best(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 5.0}))
    assert explanation.verdict == (
        "one node is best: a alone gives 2.5 requests/s, the best pipeline gives 0.2 requests/s"
    )
    assert explanation.best_single == explanation.chosen


def test_a_pipeline_is_best(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 0.1}))
    assert explanation.verdict == (
        "a 2-stage pipeline gives 5 requests/s, 2× the best single node: a alone gives 2.5 requests/s"
    )
    assert explanation.best_pipeline == explanation.chosen
    assert explanation.best_single is not None
    assert explanation.best_single.bottleneck_s == 0.4


def test_latency_is_told_in_time(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 5.0}, objective=Objective.LATENCY))
    assert explanation.verdict.startswith("one node is best: a alone answers in 420 ms")


def test_a_forced_pipeline_says_so(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 5.0}, min_stages=2))
    assert explanation.verdict == (
        "a 2-stage pipeline gives 0.2 requests/s (2 or more were asked for); "
        "a alone gives 2.5 requests/s"
    )


def test_a_forced_pipeline_is_compared_with_shorter_ones_too(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 5.0}, min_stages=3)
    explanation = explained(problem)
    assert explanation.best_pipeline is not None
    assert len(explanation.best_pipeline.stages) == 2


def test_no_single_node_is_enough(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=25))
    assert explanation.best_single is None
    assert "fits into memory" in explanation.why_no_single
    assert explanation.verdict.endswith("no single node meets the constraints")


def test_no_pipeline_is_possible(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1}))
    assert explanation.best_pipeline is None
    assert "2 stages need as many nodes" in explanation.why_no_pipeline
    assert explanation.verdict.endswith("no pipeline meets the constraints")


def test_only_one_stage_was_asked_for(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 0.1}, max_stages=1))
    assert explanation.best_pipeline is None
    assert explanation.why_no_pipeline == "only one stage was asked for"


def halves(problem: Problem) -> Explanation:
    parts = [
        (NodeId("b"), LayerRange(start=0, stop=1)),
        (NodeId("a"), LayerRange(start=1, stop=4)),
    ]
    return explain(problem, evaluate(problem, parts))


def test_a_given_plan_is_compared_with_the_best(simple_problem: MakeProblem) -> None:
    assert halves(simple_problem({"a": 0.1, "b": 0.12})).verdict == (
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
        ({"min_stages": 3}, "fewer than 3 stages; no plan keeps every constraint"),
    ],
)
def test_a_given_plan_that_breaks_a_constraint_says_so(
    simple_problem: MakeProblem, changes: dict[str, float], words: str
) -> None:
    assert words in halves(simple_problem({"a": 0.1, "b": 0.12}, **changes)).verdict


def test_a_given_plan_that_is_the_best_is_called_so(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    found = solve(problem)
    plan = [(stage.node_id, stage.layers) for stage in found.stages]
    assert explain(problem, evaluate(problem, plan)).verdict == explain(problem, found).verdict


def test_names_stand_in_the_verdict(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    named = replace(problem, nodes=(replace(problem.nodes[0], name="kitchen"),))
    assert "kitchen alone" in explained(named).verdict


def test_whatever_can_be_solved_can_be_explained(random_problem: RandomProblem) -> None:
    for seed in range(200):
        problem = random_problem(seed)
        try:
            solution = solve(problem)
        except InfeasibleError:
            continue
        explanation = explain(problem, solution)
        left_out = {node.node_id for node in explanation.left_out}
        assert left_out | set(solution.node_ids) == {node.node_id for node in problem.nodes}
        assert explanation.verdict
        assert (explanation.best_single is None) == bool(explanation.why_no_single)
        assert (explanation.best_pipeline is None) == bool(explanation.why_no_pipeline)
