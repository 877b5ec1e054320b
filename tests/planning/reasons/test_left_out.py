from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Objective, Problem, WhyLeftOut, evaluate, explain, solve

MakeProblem: TypeAlias = Callable[..., Problem]


def left_out(problem: Problem) -> dict[str, tuple[WhyLeftOut, str]]:
    explanation = explain(problem, solve(problem), with_helps=False)
    return {one.node_id: (one.why, one.sentence) for one in explanation.left_out}


def whys(problem: Problem) -> dict[str, WhyLeftOut]:
    return {node_id: why for node_id, (why, _) in left_out(problem).items()}


def test_nobody_is_left_out(simple_problem: MakeProblem) -> None:
    assert whys(simple_problem({"a": 0.1, "b": 0.1})) == {}


def test_a_slow_node_would_not_help(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 9.0}, boundary_bytes=(450,) * 5)
    assert left_out(problem) == {
        "b": (WhyLeftOut.NOT_FASTER, "b is not needed: no plan with it is faster")
    }
    quickest = replace(problem, objective=Objective.LATENCY)
    assert left_out(quickest)["b"][1] == "b is not needed: no plan with it answers sooner"


def test_where_it_is_not_proven_that_a_node_is_not_needed(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 9.0}, boundary_bytes=(450,) * 5)
    found = replace(solve(problem), optimal=False, gap=0.1)
    (one,) = explain(problem, found, with_helps=False).left_out
    assert one.why is WhyLeftOut.NOT_PROVEN
    assert one.sentence == "b is not needed: no plan was found that is faster with it"


def test_a_node_without_memory(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    poor = replace(problem.nodes[1], memory_bytes=9)
    assert left_out(replace(problem, nodes=(problem.nodes[0], poor))) == {
        "b": (
            WhyLeftOut.MEMORY,
            "b has not enough memory for even one layer: it lacks 1 byte",
        )
    }


def test_a_node_without_a_way_back(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    links = {pair: link for pair, link in problem.links.items() if pair[0] != "b"}
    assert whys(replace(problem, links=links)) == {"b": WhyLeftOut.NO_LINK}


def test_a_node_that_can_run_nothing(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    old = replace(problem.nodes[1], layer_s=(None,) * 4, unable="it lacks GATHER_ND version 5")
    problem = replace(problem, nodes=(problem.nodes[0], old))
    assert whys(problem) == {"b": WhyLeftOut.UNABLE}


def test_a_node_that_the_latency_bound_forbids(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.43)
    assert whys(problem) == {"b": WhyLeftOut.LATENCY_BOUND}


def test_a_node_beyond_the_limit_of_stages(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abc", 0.1), layers=6, max_stages=2, memory_bytes=30)
    assert left_out(problem) == {
        "c": (WhyLeftOut.STAGE_LIMIT, "c would help, but at most 2 stages are allowed")
    }


@pytest.mark.parametrize(
    ("most", "words"), [(1, "one node is allowed"), (2, "2 nodes are allowed")]
)
def test_a_node_beyond_the_limit_of_replicas(
    simple_problem: MakeProblem, most: int, words: str
) -> None:
    problem = simple_problem(dict.fromkeys("abc", 0.1), layers=1, max_replicas=most)
    why, sentence = left_out(problem)["c"]
    assert why is WhyLeftOut.REPLICA_LIMIT
    assert sentence == f"c would help, but at most {words} per stage"


def test_a_node_that_has_no_place_in_the_split_asked_for(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1, "c": 0.1}, layers=2, min_stages=2, boundary_bytes=(10, 400, 10)
    )
    reasons = whys(problem)
    assert list(reasons.values()) == [WhyLeftOut.SPLIT]


def test_a_node_that_may_run_only_what_is_not_private(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1}, private_layers=4, private_nodes=frozenset({NodeId("a")})
    )
    why, sentence = left_out(problem)["b"]
    assert why is WhyLeftOut.PRIVATE
    assert "private to other nodes" in sentence


def test_a_node_that_would_help_if_nothing_were_private(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1},
        boundary_bytes=(1, 900, 900, 900, 1),
        private_layers=1,
        private_nodes=frozenset({NodeId("a")}),
    )
    assert left_out(problem) == {
        "b": (
            WhyLeftOut.PRIVATE,
            "b would help, but may not run the first layers, which are private",
        )
    }


def test_a_node_for_which_required_ones_leave_no_place(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.9},
        max_stages=1,
        max_replicas=1,
        required=frozenset({NodeId("b")}),
        objective=Objective.LATENCY,
    )
    assert left_out(problem) == {
        "a": (WhyLeftOut.REQUIRED, "a would help, but not beside the nodes that must take part")
    }


def test_a_node_that_a_given_plan_leaves_out(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    given = evaluate(problem, [((NodeId("a"),), LayerRange(start=0, stop=4))])
    assert explain(problem, given).left_out[0].why is WhyLeftOut.NOT_GIVEN
