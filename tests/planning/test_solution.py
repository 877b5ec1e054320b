import math
from collections.abc import Callable
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Bottleneck, BottleneckKind, Problem, evaluate, solve

MakeProblem: TypeAlias = Callable[..., Problem]


A, B, C = (NodeId(letter) for letter in "abc")


@pytest.mark.parametrize(
    ("kind", "node_ids", "text"),
    [
        (BottleneckKind.COMPUTE, (A, B), "compute on a, b"),
        (BottleneckKind.PROCESSOR, (A,), "compute and messages on a"),
        (BottleneckKind.TRANSFER, (A, B), "transfer a, b → c"),
        (BottleneckKind.MACHINE, (A, B), "machine shared by a, b"),
        (BottleneckKind.MACHINE, (A,), "stage and gateway together on a"),
    ],
)
def test_a_bottleneck_reads_as_words(
    kind: BottleneckKind, node_ids: tuple[NodeId, ...], text: str
) -> None:
    receivers = (C,) if kind is BottleneckKind.TRANSFER else ()
    assert str(Bottleneck(kind=kind, node_ids=node_ids, receiver_ids=receivers)) == text


def test_a_stage_is_as_slow_as_its_slowest_node(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2}, receive_memory_bytes=(7, 0, 0, 0, 0))
    layers = LayerRange(start=0, stop=4)
    (stage,) = evaluate(problem, [((NodeId("b"), NodeId("a")), layers)]).stages
    assert stage.node_ids == ("a", "b")
    assert stage.compute_s == stage.replicas[1].compute_s == 0.8
    assert stage.transfer_s == 0.01
    assert stage.memory_bytes == 47


def test_nodes_are_named_stage_by_stage(simple_problem: MakeProblem) -> None:
    first = ((NodeId("c"), NodeId("a")), LayerRange(start=0, stop=2))
    second = ((NodeId("b"),), LayerRange(start=2, stop=4))
    solution = evaluate(simple_problem(dict.fromkeys("abc", 0.1)), [first, second])
    assert solution.node_ids == ("a", "c", "b")


def test_work_that_takes_no_time_has_no_rate(simple_problem: MakeProblem) -> None:
    assert solve(simple_problem({"a": 0.0}, gateway=None)).requests_per_s == math.inf
