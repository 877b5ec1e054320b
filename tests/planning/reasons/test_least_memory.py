from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.ids import NodeId
from mesh.planning import Problem
from mesh.planning.reasons.least_memory import MoreMemory, least_memory
from mesh.planning.reasons.questions import Questions
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def least(problem: Problem) -> MoreMemory | None:
    return least_memory(problem, Questions(search=find, budget=Budget(60.0)).any_plan)


def test_nodes_that_need_equally_little_are_all_named(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2, "c": 0.3}, memory_bytes=27, max_stages=1)
    poor = replace(problem.nodes[2], memory_bytes=20)
    found = least(replace(problem, nodes=(*problem.nodes[:2], poor)))
    assert found == MoreMemory(more_bytes={A: 13, B: 13}, is_any=True)
    assert found.phrase(problem) == "13 bytes more on a or b"


def test_any_node_is_said_only_where_there_are_several(simple_problem: MakeProblem) -> None:
    one = simple_problem({"a": 0.1}, memory_bytes=27)
    found = least(one)
    assert found is not None
    assert found.phrase(one) == "13 bytes more on a"
    two = simple_problem({"a": 0.1, "b": 0.2}, memory_bytes=27, max_stages=1)
    found = least(two)
    assert found is not None
    assert found.phrase(two) == "13 bytes more on any node"


def test_change_is_made_on_one_node_where_any_will_do(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2}, memory_bytes=27, max_stages=1)
    found = least(problem)
    assert found is not None
    assert [node.memory_bytes for node in found.applied_to(problem).nodes] == [40, 27]


def test_several_nodes_get_what_each_lacks(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2)
    rooms = (12, 15)
    nodes = tuple(
        replace(node, memory_bytes=room) for node, room in zip(problem.nodes, rooms, strict=True)
    )
    problem = replace(problem, nodes=nodes, layer_memory_bytes=(20, 0, 0, 20))
    found = least(problem)
    assert found == MoreMemory(more_bytes={A: 8, B: 5}, is_any=False)
    assert [node.memory_bytes for node in found.applied_to(problem).nodes] == [20, 20]


def test_no_memory_mends_what_is_not_about_memory(simple_problem: MakeProblem) -> None:
    assert least(simple_problem({"a": 0.1}, latency_bound_s=0.001)) is None


def test_equal_nodes_are_looked_at_once(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abcdefgh", 0.1), memory_bytes=3)
    asked: list[Problem] = []
    questions = Questions(search=find, budget=Budget(60.0))

    def possible(changed: Problem) -> object:
        asked.append(changed)
        return questions.any_plan(changed)

    found = least_memory(problem, possible)  # type: ignore[arg-type]
    assert found is not None
    assert len(found.more_bytes) == 8
    assert len(asked) < 20
