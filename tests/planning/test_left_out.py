from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Problem, WhyLeftOut, evaluate, explain, solve

MakeProblem: TypeAlias = Callable[..., Problem]


def whys(problem: Problem) -> dict[str, WhyLeftOut]:
    explanation = explain(problem, solve(problem))
    return {left_out.node_id: left_out.why for left_out in explanation.left_out}


def test_nobody_is_left_out(simple_problem: MakeProblem) -> None:
    assert whys(simple_problem({"a": 0.1, "b": 0.1})) == {}


def test_a_slow_node_would_not_help(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 9.0})
    assert whys(problem) == {"b": WhyLeftOut.NOT_FASTER}
    sentence = explain(problem, solve(problem)).left_out[0].sentence
    assert sentence == "b is not needed: no plan with it is faster"


def test_a_node_without_memory(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    poor = replace(problem.nodes[1], memory_bytes=9)
    assert whys(replace(problem, nodes=(problem.nodes[0], poor))) == {"b": WhyLeftOut.MEMORY}


def test_a_node_without_a_way_back(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    links = {pair: link for pair, link in problem.links.items() if pair[0] != "b"}
    assert whys(replace(problem, links=links)) == {"b": WhyLeftOut.NO_LINK}


def test_a_node_that_the_latency_bound_forbids(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.43)
    assert whys(problem) == {"b": WhyLeftOut.LATENCY_BOUND}


def test_a_node_beyond_the_limit_of_stages(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}, layers=6, max_stages=2)
    assert whys(problem) == {"c": WhyLeftOut.STAGE_LIMIT}


def test_a_node_that_a_given_plan_leaves_out(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    given = evaluate(problem, [(NodeId("a"), LayerRange(start=0, stop=4))])
    assert explain(problem, given).left_out[0].why is WhyLeftOut.NOT_GIVEN


def with_gaps(problem: Problem, layer_s: tuple[float | None, ...]) -> Problem:
    """The problem whose second node lacks what these times lack."""
    old = replace(problem.nodes[1], layer_s=layer_s, unable="it lacks GATHER_ND version 5")
    return replace(problem, nodes=(problem.nodes[0], old))


def test_a_node_that_can_run_nothing(simple_problem: MakeProblem) -> None:
    problem = with_gaps(simple_problem({"a": 0.1, "b": 0.1}), (None,) * 4)
    assert whys(problem) == {"b": WhyLeftOut.UNABLE}
