from dataclasses import replace

import pytest

from mesh.fleet.drift import Reading
from mesh.fleet.readings import NOISE_S, Condition, readings
from mesh.fleet.view import NodeView, View
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.testing.documents import sample_advert, sample_stage
from mesh.wire.documents import Plan, PlanPhase, StagesDocument, StageState, StageStatus
from mesh.wire.measured import CapabilityDocument

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL = ModelId("0" * 64)
CAPABILITY = CapabilityDocument(
    model_id=MODEL,
    kernel_class="k",
    threads=1,
    boundaries=(0, 2, 5),
    layer_s=(0.1, 0.2),
    stage_s=0.01,
)
LIVE = Plan(
    plan_id=PlanId("1" * 16),
    epoch=Epoch(1),
    model_id=MODEL,
    phase=PlanPhase.LIVE,
    stages=(sample_stage(A, start=0, stop=2), sample_stage(B, C, start=2, stop=5)),
    bottleneck_s=0.2,
    bottleneck="",
    latency_s=0.3,
    single_node=None,
    single_node_s=None,
    verdict="",
)


def a_node(
    node_id: NodeId, stage: int | None = None, takes_s: float | None = None, *, host: str = ""
) -> NodeView:
    statuses = [
        StageStatus(
            plan_id=LIVE.plan_id,
            epoch=LIVE.epoch,
            model_id=MODEL,
            stage=one,
            state=StageState.READY,
            measured_compute_s=takes_s,
        )
        for one in [stage]
        if one is not None
    ]
    return NodeView(
        advert=sample_advert(node_id, host_id=host or node_id),
        capabilities={MODEL: CAPABILITY},
        stages=StagesDocument(stages=tuple(statuses)),
    )


def read(view: View, *throttled: NodeId, live: Plan | None = LIVE) -> dict[NodeId, Reading]:
    conditions = {node_id: Condition(is_throttled=True) for node_id in throttled}
    return readings(view, MODEL, live, nodes=(A, B, C), conditions=conditions)


def ratios(view: View) -> dict[NodeId, float | None]:
    return {node_id: one.ratio for node_id, one in read(view).items()}


def test_a_stage_is_set_against_the_benchmark_of_its_layers() -> None:
    view = {A: a_node(A, 0, 0.33), B: a_node(B, 1, 0.21), C: a_node(C, 1)}
    assert ratios(view) == {A: pytest.approx(3.0), B: pytest.approx(1.0), C: None}
    assert read(view)[A].benchmark_s == pytest.approx(0.31)


def test_without_a_live_plan_nothing_is_shown() -> None:
    assert read({A: a_node(A, 0, 0.33)}, live=None)[A].ratio is None


def test_a_stage_of_another_node_or_another_plan_shows_nothing() -> None:
    other = replace(LIVE, plan_id=PlanId("2" * 16))
    assert ratios({A: a_node(A, 1, 0.33)}) == {A: None}
    assert read({A: a_node(A, 0, 0.33)}, live=other)[A].ratio is None


def test_a_difference_of_microseconds_is_noise() -> None:
    assert ratios({A: a_node(A, 0, 0.11 + NOISE_S / 2)}) == {A: 1.0}


def test_throttled_nodes_are_told() -> None:
    view = {A: a_node(A), B: a_node(B)}
    assert [one.is_throttled for one in read(view, B).values()] == [False, True]


def test_nodes_that_cannot_run_it_or_are_not_known_are_left_out() -> None:
    failed = replace(CAPABILITY, boundaries=(), layer_s=(), failure="no")
    view = {
        A: replace(a_node(A), capabilities={}),
        B: replace(a_node(B), capabilities={MODEL: failed}),
        C: replace(a_node(C), advert=None),
    }
    assert read(view) == read({}) == {}


def test_a_plan_of_other_boundaries_shows_nothing() -> None:
    odd = replace(LIVE, stages=(sample_stage(A, start=0, stop=3), LIVE.stages[1]))
    assert read({A: a_node(A, 0, 0.33)}, live=odd)[A].ratio is None


def test_a_node_with_fewer_cores_than_threads_is_expected_to_be_slow() -> None:
    node = a_node(A, 0, 0.33)
    slow = replace(node, advert=sample_advert(A, host_id="a", host_cores=1 / 3))
    assert ratios({A: slow})[A] == pytest.approx(1.0)


# Nodes of one machine


def test_what_nodes_of_one_machine_have_in_common_is_nobodys_own() -> None:
    view = {
        A: a_node(A, 0, 0.33, host="x"),
        B: a_node(B, 1, 0.84, host="x"),
        C: a_node(C, host="x"),
    }
    assert ratios(view) == dict.fromkeys((A, B, C), pytest.approx(3.0))


def test_a_little_slowness_of_a_shared_machine_is_noise() -> None:
    view = {A: a_node(A, 0, 0.2, host="x"), B: a_node(B, 1, 0.35, host="x")}
    assert ratios(view) == {A: 1.0, B: 1.0}


def test_a_node_much_slower_than_its_neighbours_is_slow_itself() -> None:
    view = {A: a_node(A, 0, 0.11, host="x"), B: a_node(B, 1, 0.84, host="x")}
    assert ratios(view) == {A: 1.0, B: pytest.approx(4.0)}


def test_a_node_alone_on_its_machine_answers_for_itself() -> None:
    view = {A: a_node(A, 0, 0.165), B: a_node(B, 1, 0.21, host="x")}
    assert ratios(view) == {A: pytest.approx(1.5), B: pytest.approx(1.0)}
