from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Problem
from mesh.planning.costs import compute_ticks, memory_ticks, transfer_ticks
from mesh.planning.ticks import NEVER, to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]


def test_a_stage_is_its_layers_and_its_own_share(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, stage_memory_bytes=7)
    layers = LayerRange(start=1, stop=3)
    assert compute_ticks(problem.nodes[0], layers) == to_ticks(0.25)
    assert memory_ticks(problem, layers) == to_ticks(27)


def test_a_layer_that_a_node_cannot_run_takes_for_ever(simple_problem: MakeProblem) -> None:
    node = replace(simple_problem({"a": 0.125}).nodes[0], layer_s=(0.125, 0.125, None, 0.125))
    assert compute_ticks(node, LayerRange(start=0, stop=2)) == to_ticks(0.25)
    assert compute_ticks(node, LayerRange(start=0, stop=3)) == NEVER


def test_transfers_are_free_at_home_and_never_without_a_link(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, boundary_bytes=(10, 20, 30, 40, 50))
    a, gateway, stranger = NodeId("a"), NodeId("gw"), NodeId("x")
    assert transfer_ticks(problem, gateway, a, 0) == to_ticks(0.01)
    assert transfer_ticks(problem, a, gateway, 4) == to_ticks(0.05)
    assert transfer_ticks(problem, a, a, 1) == 0
    assert transfer_ticks(problem, None, a, 0) == 0
    assert transfer_ticks(problem, a, stranger, 1) == NEVER
