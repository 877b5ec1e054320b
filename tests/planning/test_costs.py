import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Problem
from mesh.planning.costs import compute_s, memory_bytes, message_core_s, transfer_s

MakeProblem: TypeAlias = Callable[..., Problem]


def test_a_stage_is_its_layers_and_its_own_share(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, stage_memory_bytes=7)
    node, layers = replace(problem.nodes[0], stage_s=0.5), LayerRange(start=1, stop=3)
    assert compute_s(node, layers) == 0.75
    assert memory_bytes(problem, layers) == 27


def test_frames_at_both_boundaries_are_held(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.125}, receive_memory_bytes=(1, 2, 3, 4, 5), send_memory_bytes=(10, 20, 30, 40, 50)
    )
    assert memory_bytes(problem, LayerRange(start=1, stop=3)) == 20 + 2 + 40
    assert memory_bytes(problem, LayerRange(start=0, stop=4)) == 40 + 1 + 50


def test_a_layer_that_a_node_cannot_run_takes_for_ever(simple_problem: MakeProblem) -> None:
    node = replace(simple_problem({"a": 0.125}).nodes[0], layer_s=(0.125, 0.125, None, 0.125))
    assert compute_s(node, LayerRange(start=0, stop=2)) == 0.25
    assert compute_s(node, LayerRange(start=0, stop=3)) == math.inf


def test_transfers_are_free_at_home_and_never_without_a_link(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, boundary_bytes=(10, 20, 30, 40, 50))
    a, gateway, stranger = NodeId("a"), NodeId("gw"), NodeId("x")
    assert transfer_s(problem, gateway, a, 0) == 0.01
    assert transfer_s(problem, a, gateway, 4) == 0.05
    assert transfer_s(problem, a, a, 1) == 0
    assert transfer_s(problem, None, a, 0) == 0
    assert transfer_s(problem, a, None, 4) == 0
    assert transfer_s(problem, a, stranger, 1) == math.inf


def test_a_frame_costs_the_processor_unless_it_stays_at_home(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125}, boundary_bytes=(10, 20, 30, 40, 50))
    node = replace(problem.nodes[0], message_cpu_s=0.5, byte_cpu_s=0.1)
    assert message_core_s(problem, node, NodeId("b"), 1) == pytest.approx(2.5)
    assert message_core_s(problem, node, NodeId("a"), 1) == 0
    assert message_core_s(problem, node, None, 1) == 0
