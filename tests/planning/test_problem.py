import math
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import PlanLink, PlanNode, Problem

MakeProblem: TypeAlias = Callable[..., Problem]


def test_a_sound_problem_counts_its_layers_and_names_its_nodes(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    assert problem.layers == 4
    assert problem.label(NodeId("a")) == "a"
    assert problem.label(NodeId("elsewhere")) == "elsewhere"
    assert problem.label(None) == "the gateway"


def test_a_node_is_called_by_its_name(simple_problem: MakeProblem) -> None:
    node = PlanNode(
        node_id=NodeId("a"), layer_s=(1.0,) * 4, stage_s=0.0, memory_bytes=1, name="kitchen"
    )
    assert simple_problem({}, nodes=(node,)).label(NodeId("a")) == "kitchen"


def test_a_node_knows_what_it_cannot_run() -> None:
    node = PlanNode(
        node_id=NodeId("a"), layer_s=(1.0, None, 2.0, None), stage_s=0.0, memory_bytes=1
    )
    assert node.times_s == (1.0, 0.0, 2.0, 0.0)
    assert node.last_gap(LayerRange(start=0, stop=4)) == 3
    assert node.last_gap(LayerRange(start=0, stop=3)) == 1
    assert node.last_gap(LayerRange(start=2, stop=3)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer_memory_bytes": ()}, "layers"),
        ({"layer_memory_bytes": (1,) * 5000}, "layers"),
        ({"layer_memory_bytes": (10,) * 3}, "layer_s of a"),
        ({"layer_memory_bytes": (10, -1, 10, 10)}, "layer_memory_bytes"),
        ({"boundary_bytes": (1,) * 4}, "boundary_bytes"),
        ({"boundary_bytes": (1, 1, -1, 1, 1)}, "boundary_bytes"),
        ({"receive_memory_bytes": (1,)}, "receive_memory_bytes"),
        ({"send_memory_bytes": (math.nan,) * 5}, "send_memory_bytes"),
        ({"stage_memory_bytes": math.inf}, "stage_memory_bytes"),
        ({"min_stages": 0}, "min_stages"),
        ({"min_stages": 3, "max_stages": 2}, "max_stages"),
        ({"max_replicas": 0}, "max_replicas"),
        ({"private_layers": 5}, "private_layers"),
        ({"private_layers": -1}, "private_layers"),
        ({"gateway_request_cpu_s": math.inf}, "gateway_request_cpu_s"),
        ({"latency_bound_s": 0.0}, "latency_bound_s"),
        ({"latency_bound_s": math.nan}, "latency_bound_s"),
        (
            {"links": {("a", "a"): PlanLink(goodput_bytes_per_s=1.0, message_s=0.0)}},
            "no link to itself",
        ),
    ],
)
def test_a_problem_that_contradicts_itself_is_refused(
    simple_problem: MakeProblem, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        simple_problem({"a": 0.1}, **changes)


def test_private_layers_are_private_to_who_may_not_run_them(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, private_layers=2, private_nodes=frozenset({NodeId("a")}))
    whole, behind = LayerRange(start=1, stop=4), LayerRange(start=2, stop=4)
    assert problem.is_private_to_others(NodeId("b"), whole)
    assert not problem.is_private_to_others(NodeId("b"), behind)
    assert not problem.is_private_to_others(NodeId("a"), whole)


def test_two_nodes_of_one_id_are_refused(simple_problem: MakeProblem) -> None:
    nodes = simple_problem({"a": 0.1}).nodes
    with pytest.raises(ValueError, match="same id"):
        simple_problem({}, nodes=nodes + nodes)


def test_too_many_nodes_are_refused(simple_problem: MakeProblem) -> None:
    with pytest.raises(ValueError, match="at most 1024 nodes"):
        simple_problem({f"n{index}": 0.1 for index in range(1025)}, links={})


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_s": (math.nan,)},
        {"layer_s": (-1.0,)},
        {"stage_s": math.inf},
        {"memory_bytes": -1},
        {"message_cpu_s": -1.0},
        {"byte_cpu_s": math.nan},
        {"threads": 0},
        {"threads": math.inf},
        {"host_cores": 0},
        {"host_cores": 1e-300},
        {"threads": 1e300},
        {"layer_s": (1e308,)},
    ],
)
def test_a_node_with_impossible_figures_is_refused(changes: dict[str, Any]) -> None:
    sound: dict[str, Any] = {
        "node_id": NodeId("a"),
        "layer_s": (1.0,),
        "stage_s": 0.0,
        "memory_bytes": 1,
    }
    with pytest.raises(ValueError, match=r"(of )?a (must|needs)"):
        PlanNode(**{**sound, **changes})


def test_a_link_takes_its_message_time_and_its_bytes() -> None:
    assert PlanLink(goodput_bytes_per_s=100.0, message_s=0.5).transfer_s(50) == 1.0
    assert PlanLink(goodput_bytes_per_s=math.inf, message_s=0.5).transfer_s(50) == 0.5
