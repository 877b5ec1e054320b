"""Requests flow through a plan as the planner's figures say."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.plan_flow import MAX_REQUESTS, MIN_SHOWN, Flow, flow
from mesh.ids import NodeId
from mesh.wire.planned import PlannedNode, PlannedPart, PlanOption, PlanReply

TIMES_S = st.floats(min_value=0.0, max_value=2.0)


def node(i: int, *, share: float, compute_s: float, receive_s: float) -> PlannedNode:
    return PlannedNode(
        node_id=NodeId(f"{i:016x}"),
        node_name=f"n{i}",
        share=share,
        compute_s=compute_s,
        receive_s=receive_s,
        send_s=0.0,
        pace_s=max(compute_s, receive_s),
        memory_bytes=0,
    )


@st.composite
def options(draw: st.DrawFn) -> PlanOption:
    stages = []
    for i in range(draw(st.integers(1, 4))):
        times = draw(st.lists(st.tuples(TIMES_S, TIMES_S), min_size=1, max_size=4))
        rates = [1 / max(*pair, 1e-9) for pair in times]
        nodes = tuple(
            node(10 * i + j, share=rate / sum(rates), compute_s=pair[0], receive_s=pair[1])
            for j, (pair, rate) in enumerate(zip(times, rates, strict=True))
        )
        stages.append(PlannedPart(start=i, stop=i + 1, period_s=1 / sum(rates), replicas=nodes))
    return PlanOption(
        title="chosen",
        stages=tuple(stages),
        exit_s=0.0,
        bottleneck_s=max(stage.period_s for stage in stages),
        latency_s=sum(max(n.compute_s + n.receive_s for n in s.replicas) for s in stages),
        bottleneck="",
        bottleneck_kind="compute",
        bottleneck_nodes=(),
    )


def check_no_overlap(flowing: Flow) -> None:
    for lane in flowing.lanes:
        for spans in (lane.ways_in, lane.computes):
            for before, after in pairwise(spans):
                assert after.start_s >= before.stop_s


@given(options())
def test_each_request_is_served_once_by_every_stage_and_nobody_serves_two_at_once(
    option: PlanOption,
) -> None:
    flowing = flow(option)
    check_no_overlap(flowing)
    requests = list(range(len(flowing.replies_s)))
    assert MIN_SHOWN <= len(requests) <= MAX_REQUESTS
    for i in range(len(option.stages)):
        served = [s.request for lane in flowing.lanes if lane.stage == i for s in lane.computes]
        assert sorted(served) == requests


@given(options())
def test_no_request_is_sooner_than_its_own_times(option: PlanOption) -> None:
    flowing = flow(option)
    fastest_s = sum(min(n.compute_s + n.receive_s for n in s.replicas) for s in option.stages)
    for request, reply_s in enumerate(flowing.replies_s):
        assert reply_s >= request * option.bottleneck_s + fastest_s - 1e-9


def test_a_plain_pipeline_answers_each_request_after_its_latency(plan: PlanReply) -> None:
    flowing = flow(plan.chosen)
    waits_s = [
        reply_s - request * plan.chosen.bottleneck_s
        for request, reply_s in enumerate(flowing.replies_s)
    ]
    assert waits_s == pytest.approx([plan.chosen.latency_s] * len(waits_s))
    assert flowing.end_s == flowing.replies_s[MIN_SHOWN - 1]


def test_nodes_take_turns_by_their_shares(plan: PlanReply) -> None:
    nodes = (
        node(0, share=0.75, compute_s=1.0, receive_s=0.0),
        node(1, share=0.25, compute_s=3.0, receive_s=0.0),
    )
    stage = replace(plan.chosen.stages[0], replicas=nodes)
    flowing = flow(replace(plan.chosen, stages=(stage,), bottleneck_s=0.75, latency_s=3.0))
    turns = sorted(
        (span.request, i) for i, one in enumerate(flowing.lanes) for span in one.computes
    )
    assert [i for _, i in turns[:8]] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_a_plan_of_no_time_at_all_can_be_drawn(plan: PlanReply) -> None:
    instant = node(0, share=1.0, compute_s=0.0, receive_s=0.0)
    stage = replace(plan.chosen.stages[0], replicas=(instant,))
    flowing = flow(replace(plan.chosen, stages=(stage,), bottleneck_s=0.0, latency_s=0.0))
    assert (len(flowing.replies_s), flowing.end_s) == (MIN_SHOWN, 0.0)
