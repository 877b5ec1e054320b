from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError, UsageError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Assignment, Bottleneck, BottleneckKind, PlanLink, Problem, evaluate
from tests.planning.brute_force import every_plan, figures
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

A, B, GATEWAY = NodeId("a"), NodeId("b"), NodeId("gw")


def plan(*parts: tuple[str, int, int]) -> Assignment:
    """Each letter of a name is a node."""
    return [
        (tuple(NodeId(one) for one in names), LayerRange(start=start, stop=stop))
        for names, start, stop in parts
    ]


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
    assert evaluate(problem, plan(("b", 0, 2), ("a", 2, 4))).stages[0].node_ids == (B,)


def test_a_slow_link_is_the_bottleneck(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, boundary_bytes=(10, 10, 5000, 10, 10))
    solution = evaluate(problem, plan(("a", 0, 2), ("b", 2, 4)))
    assert solution.bottleneck.kind is BottleneckKind.TRANSFER
    assert str(solution.bottleneck) == "transfer a → b"
    assert solution.bottleneck_s == 5.0


def leg(sender: NodeId, receiver: NodeId) -> Bottleneck:
    return Bottleneck(kind=BottleneckKind.TRANSFER, node_ids=(sender,), receiver_ids=(receiver,))


def test_entry_and_exit_count_as_transfers_of_the_gateway(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, boundary_bytes=(9000, 1, 1, 1, 1))
    assert evaluate(problem, plan(("a", 0, 4))).bottleneck == leg(GATEWAY, A)
    problem = simple_problem({"a": 0.1}, boundary_bytes=(1, 1, 1, 1, 9000))
    assert evaluate(problem, plan(("a", 0, 4))).bottleneck == leg(A, GATEWAY)


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
    nodes = tuple(replace(it, host_id="box", host_cores=4, threads=4) for it in problem.nodes)
    assert evaluate(replace(problem, nodes=nodes), plan(("a", 0, 4))).bottleneck_s == 0.4


def test_bound_and_number_of_stages_are_not_asked_of_a_given_plan(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2, latency_bound_s=0.01)
    assert evaluate(problem, plan(("a", 0, 4))).latency_s == pytest.approx(0.42)


@pytest.mark.parametrize(
    ("given_plan", "words"),
    [
        (plan(), "must end with layer 3"),
        (plan(("", 0, 4)), "no node is given"),
        (plan(("a", 0, 2)), "must end with layer 3"),
        (plan(("a", 1, 4)), "layer 0 next"),
        (plan(("a", 0, 2), ("b", 1, 4)), "layer 2 next"),
        (plan(("a", 0, 5)), "must end"),
        (plan(("a", 0, 2), ("a", 2, 4)), "at most one stage"),
        (plan(("x", 0, 4)), "x of the plan"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    simple_problem: MakeProblem, given_plan: Assignment, words: str
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


def test_nodes_of_a_stage_take_turns_in_proportion_to_their_paces(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2, "c": 0.4}, boundary_bytes=(10, 10, 10, 10, 10))
    solution = evaluate(problem, plan(("c", 0, 1), ("ba", 1, 4)))
    first, second = solution.stages
    assert second.node_ids == (A, B)
    assert [one.share for one in second.replicas] == pytest.approx([2 / 3, 1 / 3])
    assert second.period_s == pytest.approx(1 / (1 / 0.3 + 1 / 0.6))
    assert second.compute_s == pytest.approx(0.6)
    assert solution.bottleneck_s == first.period_s == 0.4
    assert solution.latency_s == pytest.approx(0.4 + 0.6 + 3 * 0.01)


def test_a_replicas_pace_counts_its_slowest_peer(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1})
    links = {**problem.links, (A, NodeId("c")): PlanLink(goodput_bytes_per_s=10.0, message_s=0.0)}
    solution = evaluate(replace(problem, links=links), plan(("a", 0, 2), ("bc", 2, 4)))
    (first,), (to_b, to_c) = (stage.replicas for stage in solution.stages)
    assert (first.send_s, to_b.receive_s, to_c.receive_s) == (1.0, 0.01, 1.0)
    assert (first.pace_s, to_b.pace_s, to_c.pace_s) == (1.0, 0.2, 1.0)
    assert solution.latency_s == pytest.approx(0.01 + 0.2 + 1.0 + 0.2 + 0.01)


def test_the_gateways_link_carries_every_request(simple_problem: MakeProblem) -> None:
    """Replicas share the requests; the gateway's own way in and out does not get quicker by it."""
    problem = simple_problem({"a": 0.1, "b": 0.1}, boundary_bytes=(390, 1, 1, 1, 1))
    solution = evaluate(problem, plan(("ab", 0, 4)))
    assert solution.stages[0].period_s == pytest.approx(0.2)
    assert solution.bottleneck_s == pytest.approx(0.39)
    assert solution.bottleneck.kind is BottleneckKind.TRANSFER
    assert solution.bottleneck.node_ids == (GATEWAY,)


def test_messages_cost_a_slow_processor_its_pace(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, boundary_bytes=(10, 10, 20, 10, 10))
    nodes = tuple(
        replace(node, message_cpu_s=0.05, byte_cpu_s=0.01, host_cores=0.5) for node in problem.nodes
    )
    solution = evaluate(replace(problem, nodes=nodes), plan(("a", 0, 2), ("b", 2, 4)))
    # 0.2 s of compute, 0.05 + 0.01 · 10 to receive, 0.05 + 0.01 · 20 to send, on half a core
    assert solution.stages[0].replicas[0].pace_s == pytest.approx((0.2 + 0.15 + 0.25) / 0.5)
    assert solution.bottleneck.kind is BottleneckKind.PROCESSOR
    assert solution.latency_s == pytest.approx(0.1 * 4 + 0.01 + 0.02 + 0.01)


def test_private_layers_run_on_private_nodes_only(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, private_layers=1, private_nodes=frozenset({B}))
    with pytest.raises(InfeasibleError, match="a may not run the first 1 layers"):
        evaluate(problem, plan(("a", 0, 1), ("b", 1, 4)))
    assert evaluate(problem, plan(("b", 0, 1), ("a", 1, 4))).node_ids == (B, A)


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0, max_value=10**9))
def test_figures_are_those_of_the_definitions(seed: int) -> None:
    """Of up to 200 plans of a random problem, by code that shares nothing with this."""
    problem = random_problem(seed)
    for one in islice(every_plan(problem), 200):
        expected = figures(problem, one)
        assignment = [(ids, LayerRange(start=start, stop=stop)) for ids, start, stop in one]
        try:
            found = evaluate(problem, assignment)
        except InfeasibleError:
            assert expected is None
            continue
        assert expected is not None
        assert found.bottleneck_s == pytest.approx(expected.period_s, rel=1e-9, abs=1e-11)
        assert found.latency_s == pytest.approx(expected.latency_s, rel=1e-9)
        for stage in found.stages:
            assert sum(replica.share for replica in stage.replicas) == pytest.approx(1.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(min_value=1, max_value=10**6), min_size=1, max_size=6))
def test_period_is_never_more_than_latency(simple_problem: MakeProblem, micros: list[int]) -> None:
    speeds = {f"n{index}": micro * 1e-6 for index, micro in enumerate(micros)}
    problem = simple_problem(speeds, layers=len(micros))
    solution = evaluate(
        problem,
        [((NodeId(name),), LayerRange(start=i, stop=i + 1)) for i, name in enumerate(speeds)],
    )
    assert solution.bottleneck_s <= solution.latency_s
    assert solution.bottleneck_s >= max(stage.compute_s for stage in solution.stages)
