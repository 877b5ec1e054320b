from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError, UsageError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import BottleneckKind, Problem, evaluate

Plan: TypeAlias = tuple[tuple[NodeId, LayerRange], ...]
MakeProblem: TypeAlias = Callable[..., Problem]

A, B, GATEWAY = NodeId("a"), NodeId("b"), NodeId("gw")


def plan(*parts: tuple[str, int, int]) -> Plan:
    return tuple((NodeId(name), LayerRange(start=start, stop=stop)) for name, start, stop in parts)


def test_every_figure_of_a_pipeline(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.2},
        boundary_bytes=(10, 20, 30, 40, 50),
        stage_memory_bytes=5,
        receive_memory_bytes=(1, 2, 3, 4, 5),
        send_memory_bytes=(10, 20, 30, 40, 50),
    )
    solution = evaluate(problem, plan(("b", 0, 1), ("a", 1, 4)))
    first, second = solution.stages
    assert (first.compute_s, first.transfer_s) == pytest.approx((0.2, 0.01))
    assert (second.compute_s, second.transfer_s) == pytest.approx((0.3, 0.02))
    assert solution.exit_s == pytest.approx(0.05)
    assert solution.latency_s == pytest.approx(0.2 + 0.3 + 0.01 + 0.02 + 0.05)
    assert solution.bottleneck_s == pytest.approx(0.3)
    assert solution.requests_per_s == pytest.approx(1 / 0.3)
    assert (first.memory_bytes, second.memory_bytes) == (5 + 10 + 1 + 20, 5 + 30 + 2 + 50)
    assert not solution.optimal


def test_a_stage_that_its_node_cannot_run_is_refused_with_the_reason(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    old = replace(
        problem.nodes[1], layer_s=(0.1, 0.1, None, 0.1), unable="tflite 2.14.0 lacks GATHER_ND"
    )
    problem = replace(problem, nodes=(problem.nodes[0], old))
    with pytest.raises(InfeasibleError, match=r"b cannot run layer 2 \(tflite 2.14.0 lacks"):
        evaluate(problem, plan(("a", 0, 2), ("b", 2, 4)))
    assert evaluate(problem, plan(("b", 0, 2), ("a", 2, 4))).stages[0].node_id == B


def test_a_slow_link_is_the_bottleneck(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, boundary_bytes=(10, 10, 5000, 10, 10))
    solution = evaluate(problem, plan(("a", 0, 2), ("b", 2, 4)))
    assert solution.bottleneck.kind is BottleneckKind.TRANSFER
    assert solution.bottleneck.node_ids == (A, B)
    assert solution.bottleneck_s == 5.0


def test_entry_and_exit_count_as_transfers_of_the_gateway(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, boundary_bytes=(9000, 1, 1, 1, 1))
    assert evaluate(problem, plan(("a", 0, 4))).bottleneck.node_ids == (GATEWAY, A)
    problem = simple_problem({"a": 0.1}, boundary_bytes=(1, 1, 1, 1, 9000))
    assert evaluate(problem, plan(("a", 0, 4))).bottleneck.node_ids == (A, GATEWAY)


def test_a_shared_machine_is_the_bottleneck_when_its_cores_are_too_few(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    nodes = tuple(replace(it, host_id="box", host_cores=2, threads=2) for it in problem.nodes)
    halves = plan(("a", 0, 2), ("b", 2, 4))
    solution = evaluate(replace(problem, nodes=nodes), halves)
    # 2 × 0.2 s on two threads each, and 0.01 s from one to the other, on two cores
    assert solution.bottleneck_s == pytest.approx(0.405)
    assert solution.bottleneck.kind is BottleneckKind.MACHINE
    assert solution.bottleneck.node_ids == (A, B)
    assert solution.latency_s == evaluate(problem, halves).latency_s


def test_one_stage_alone_on_its_machine_is_not_slowed(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    nodes = tuple(replace(it, host_id="box", threads=4) for it in problem.nodes)
    assert evaluate(replace(problem, nodes=nodes), plan(("a", 0, 4))).bottleneck_s == 0.4


def test_bound_and_number_of_stages_are_not_asked_of_a_given_plan(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2, latency_bound_s=0.01)
    assert evaluate(problem, plan(("a", 0, 4))).latency_s == pytest.approx(0.42)


@pytest.mark.parametrize(
    ("given_plan", "words"),
    [
        ((), "must end with layer 3"),
        (plan(("a", 0, 2)), "must end with layer 3"),
        (plan(("a", 1, 4)), "layer 0 next"),
        (plan(("a", 0, 2), ("b", 1, 4)), "layer 2 next"),
        (plan(("a", 0, 5)), "must end"),
        (plan(("a", 0, 2), ("a", 2, 4)), "at most one stage"),
        (plan(("x", 0, 4)), "x of the plan"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    simple_problem: MakeProblem, given_plan: Plan, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        evaluate(simple_problem({"a": 0.1, "b": 0.1}), given_plan)


def test_missing_memory_is_named_with_its_size(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=25)
    with pytest.raises(InfeasibleError, match="a lacks 15 bytes of memory for layers 0–3"):
        evaluate(problem, plan(("a", 0, 4)))


def test_missing_link_is_named(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    links = {pair: link for pair, link in problem.links.items() if pair != (A, B)}
    with pytest.raises(InfeasibleError, match="no link from a to b"):
        evaluate(replace(problem, links=links), plan(("a", 0, 2), ("b", 2, 4)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(min_value=1, max_value=10**6), min_size=1, max_size=6))
def test_period_is_never_more_than_latency(simple_problem: MakeProblem, micros: list[int]) -> None:
    speeds = {f"n{index}": micro * 1e-6 for index, micro in enumerate(micros)}
    problem = simple_problem(speeds, layers=len(micros))
    parts = [(name, index, index + 1) for index, name in enumerate(speeds)]
    solution = evaluate(problem, plan(*parts))
    assert solution.bottleneck_s <= solution.latency_s
    assert solution.bottleneck_s >= max(stage.compute_s for stage in solution.stages)
