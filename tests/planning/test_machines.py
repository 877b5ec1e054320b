from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import BottleneckKind, Problem, Solution, evaluate
from mesh.planning.machines import Part, shared_machines

MakeProblem: TypeAlias = Callable[..., Problem]

A, B = NodeId("a"), NodeId("b")


@pytest.fixture
def boxed(simple_problem: MakeProblem) -> Problem:
    """Two nodes of 0.1 s a layer on the two cores of one machine."""
    problem = simple_problem({"a": 0.1, "b": 0.1})
    nodes = tuple(replace(node, host_id="box", host_cores=2) for node in problem.nodes)
    return replace(problem, nodes=nodes)


def halves(problem: Problem) -> Solution:
    first, second = LayerRange(start=0, stop=2), LayerRange(start=2, stop=4)
    return evaluate(problem, [((A,), first), ((B,), second)])


def both(problem: Problem) -> Solution:
    return evaluate(problem, [((A, B), LayerRange(start=0, stop=4))])


def alone(problem: Problem) -> Solution:
    return evaluate(problem, [((A,), LayerRange(start=0, stop=4))])


def parts(problem: Problem, solution: Solution) -> list[Part]:
    nodes = {node.node_id: node for node in problem.nodes}
    return shared_machines(problem, nodes, solution.stages)


def seconds(problem: Problem, solution: Solution) -> float:
    (part,) = parts(problem, solution)
    assert part.bottleneck.kind is BottleneckKind.MACHINE
    return part.seconds


def test_work_of_all_stages_is_shared_by_all_cores(boxed: Problem) -> None:
    # 0.2 s each, and the transfer between them, which nothing else carries
    assert seconds(boxed, halves(boxed)) == pytest.approx((0.2 + 0.2 + 0.01) / 2)


def test_replicas_work_for_their_share_only(boxed: Problem) -> None:
    assert seconds(boxed, both(boxed)) == pytest.approx(0.4 / 2)


def test_threads_take_so_many_cores(boxed: Problem) -> None:
    busy = replace(boxed, nodes=tuple(replace(node, threads=2) for node in boxed.nodes))
    assert seconds(busy, halves(busy)) == pytest.approx((0.4 + 0.4 + 0.01) / 2)


def test_known_costs_of_messages_take_the_transfers_place(boxed: Problem) -> None:
    known = replace(boxed, nodes=tuple(replace(node, message_cpu_s=0.1) for node in boxed.nodes))
    # from the gateway, out of a, into b, to the gateway
    assert seconds(known, halves(known)) == pytest.approx((0.2 + 0.2 + 4 * 0.1) / 2)


def test_one_stage_has_the_machine_for_itself(boxed: Problem) -> None:
    assert parts(boxed, alone(boxed)) == []


def test_nodes_without_a_machine_share_none(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    assert parts(problem, halves(problem)) == []


def test_the_gateway_on_the_machine_works_too(boxed: Problem) -> None:
    nodes = tuple(replace(node, message_cpu_s=0.1) for node in boxed.nodes)
    other = replace(nodes[1], host_id="elsewhere")
    at_a = replace(boxed, nodes=nodes, gateway=A)
    assert seconds(at_a, alone(at_a)) == pytest.approx(0.4 / 2)
    # b on its own machine: the gateway at a sends and receives for it, b pays for itself
    at_a = replace(at_a, nodes=(nodes[0], other))
    whole = evaluate(at_a, [((B,), LayerRange(start=0, stop=4))])
    assert parts(at_a, whole) == []
    asked = replace(at_a, gateway_request_cpu_s=0.3)
    assert seconds(asked, whole) == pytest.approx((0.1 + 0.1 + 0.3) / 2)


def test_machines_are_apart(boxed: Problem) -> None:
    nodes = (boxed.nodes[0], replace(boxed.nodes[1], host_id="other"))
    apart = replace(boxed, nodes=nodes)
    assert parts(apart, halves(apart)) == []
