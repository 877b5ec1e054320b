from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.planning import Problem, Solution
from mesh.planning.reasons.hindrance import Hindrance, hindered_nodes

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]
EverySolution: TypeAlias = Callable[[Problem], Iterator[Solution]]


def whys(problem: Problem) -> dict[str, Hindrance]:
    return {node_id: one.why for node_id, one in hindered_nodes(problem).items()}


def with_second(problem: Problem, **fields: object) -> Problem:
    return replace(problem, nodes=(problem.nodes[0], replace(problem.nodes[1], **fields)))  # type: ignore[arg-type]


@pytest.fixture
def two(simple_problem: MakeProblem) -> Problem:
    return simple_problem({"a": 0.1, "b": 0.1})


def test_nobody_is_hindered(two: Problem) -> None:
    assert whys(two) == {}


def test_a_node_that_can_run_nothing(two: Problem) -> None:
    assert whys(with_second(two, layer_s=(None,) * 4)) == {"b": Hindrance.UNABLE}


def test_a_node_that_must_run_all_and_cannot(two: Problem) -> None:
    gap = with_second(two, layer_s=(0.1, None, 0.1, 0.1))
    assert whys(gap) == {}
    assert whys(replace(gap, max_stages=1)) == {"b": Hindrance.UNABLE}


def test_a_node_without_memory_for_one_layer(two: Problem) -> None:
    problem = with_second(two, memory_bytes=7)
    assert hindered_nodes(problem)[NodeId("b")].reason == (
        "has not enough memory for even one layer: it lacks 3 bytes"
    )


def test_a_node_without_memory_for_the_whole_model(two: Problem) -> None:
    problem = replace(with_second(two, memory_bytes=37), max_stages=1)
    assert hindered_nodes(problem)[NodeId("b")].reason == (
        "has not enough memory for the whole model: it lacks 3 bytes"
    )


def test_a_longer_stage_may_take_less_memory_than_each_of_its_layers(two: Problem) -> None:
    frames = (0.0, 100.0, 100.0, 100.0, 0.0)
    problem = replace(two, receive_memory_bytes=frames, send_memory_bytes=frames)
    assert whys(with_second(problem, memory_bytes=40)) == {}
    assert whys(with_second(problem, memory_bytes=39)) == {"b": Hindrance.MEMORY}


def test_a_node_that_may_run_none_of_what_it_can(two: Problem) -> None:
    private = replace(two, private_layers=4, private_nodes=frozenset({NodeId("a")}))
    assert whys(private) == {"b": Hindrance.PRIVATE}
    later = replace(private, private_layers=2)
    assert whys(later) == {}
    assert whys(with_second(later, layer_s=(0.1, 0.1, None, None))) == {"b": Hindrance.PRIVATE}


def test_a_node_without_a_way_back(two: Problem) -> None:
    links = {pair: link for pair, link in two.links.items() if pair[0] != "b"}
    assert whys(replace(two, links=links)) == {"b": Hindrance.NO_LINK}
    assert whys(replace(two, links={}, gateway=None)) == {}


def test_no_plan_uses_a_hindered_node(
    random_problem: RandomProblem, every_solution: EverySolution
) -> None:
    told = 0
    for seed in range(80):
        problem = random_problem(seed)
        problem = replace(problem, nodes=problem.nodes[:4], required=frozenset())
        hindered = hindered_nodes(problem).keys()
        told += len(hindered)
        for plan in every_solution(replace(problem, min_stages=1)):
            assert not hindered & set(plan.node_ids), seed
    assert told > 5
