from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from mesh.config import Config
from mesh.errors import InvokeError, MeshError, NodeLostError, StoreError
from mesh.fleet.view import NodeView, View
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import DataType, TensorSpec
from mesh.node.dispatcher import Dispatcher, make_dispatcher
from mesh.node.golden_check import GoldenCheck
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.roster import Roster
from mesh.runtime.golden import golden_inputs
from mesh.store.manifest import Golden, ModelManifest
from mesh.testing.documents import sample_stage
from mesh.wire import refusal
from mesh.wire.documents import Advert, Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor, StageTime
from mesh.wire.refusal import refusal_of
from mesh.wire.topics import Lane

ME, A, B, C = (NodeId(digit * 16) for digit in "0abc")
MODEL = ModelId("0" * 64)
INPUT = TensorSpec(index=0, name="x", data_type=DataType.UINT8, shape=(4,))
OUTPUT = TensorSpec(index=7, name="y", data_type=DataType.UINT8, shape=(2,))
EXPECTED = (b"\x10\x20",)
NEAR = b"\x11\x22"
GOLDEN = Golden(kernel_class="k", seed=5, sha256="0" * 64, size_bytes=100)
MANIFEST = ModelManifest(
    model_id=MODEL,
    name="tiny",
    size_bytes=100,
    inputs=(INPUT,),
    outputs=(OUTPUT,),
    revision=1,
    writer=ME,
    golden=GOLDEN,
)
PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(3),
    model_id=MODEL,
    phase=PlanPhase.PREPARING,
    stages=(sample_stage(A, start=0, stop=1, compute_s=0.01, transfer_s=0.0),),
    bottleneck_s=0.01,
    bottleneck="",
    latency_s=0.01,
    single_node=None,
    single_node_s=None,
    verdict="",
)


def advert(kernel_class: str) -> Advert:
    return Advert(
        node_id=A,
        boot_id=BootId("0" * 8),
        name="a",
        mesh_name="default",
        version="0",
        board="b",
        board_label="B",
        runtime="fake",
        runtime_version="1",
        kernel_class=kernel_class,
        broker_url="mqtt://a:1883",
        broker_kind="memory",
        http_url="http://a:80",
        host_id="",
        host_cores=1,
        threads=1,
        memory_bytes=0,
    )


@dataclass(slots=True)
class _Library:
    """What the check asks of the node's models."""

    manifest: ModelManifest = MANIFEST
    failure: MeshError | None = None

    def manifest_of(self, model_id: ModelId) -> ModelManifest:
        assert model_id == MODEL
        return self.manifest

    def golden_outputs(self, model_id: ModelId) -> tuple[bytes, ...]:
        assert model_id == MODEL
        if self.failure is not None:
            raise self.failure
        return EXPECTED


@dataclass(slots=True)
class _Roster:
    view: View


@dataclass(slots=True)
class Bench:
    """A gateway whose first stage's broker is the test."""

    kernel_class: str = "k"
    second_class: str = "k"
    library: _Library = field(default_factory=_Library)
    sent: list[Frame] = field(default_factory=list)
    sent_to: list[NodeId] = field(default_factory=list)
    outcomes: list[tuple[str | None, bool]] = field(default_factory=list)
    dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        config = Config(max_queue=1, max_in_flight=1)
        self.dispatcher = make_dispatcher(config, Loop(), me=ME, send=self.send)

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        assert lane is Lane.STAGE
        self.sent_to.append(node_id)
        self.sent.append(frame)

    def check(self, plan: Plan = PLAN) -> None:
        told = advert(self.kernel_class)
        roster = _Roster(
            {
                A: NodeView(advert=told),
                B: NodeView(advert=replace(told, name="b", kernel_class=self.second_class)),
                C: NodeView(advert=replace(told, name="c")),
            }
        )
        checker = GoldenCheck(
            cast("Library", self.library), cast("Roster", roster), self.dispatcher
        )
        checker.check(plan, self.outcomes.append)

    def result(self, data: bytes) -> None:
        tensors = (FrameTensor(index=OUTPUT.index, data=data),)
        frame = replace(self.sent[-1], kind=FrameKind.RESULT, tensors=tensors)
        self.dispatcher.result(frame)

    def fail(self, error: Exception) -> None:
        content = refusal.encode(refusal_of(error))
        self.dispatcher.result(
            replace(self.sent[-1], kind=FrameKind.ERROR, tensors=(), error=content)
        )


def test_the_recorded_input_goes_through_the_plan_that_is_not_live_yet() -> None:
    bench = Bench()
    bench.check()
    (frame,) = bench.sent
    assert frame.plan_id == PLAN.plan_id
    assert (bytes(frame.tensors[0].data),) == golden_inputs([INPUT], GOLDEN.seed)
    assert bench.outcomes == []


@pytest.mark.parametrize("draw", [1, 2])
def test_a_run_is_checked_with_the_inputs_it_was_recorded_with(draw: int) -> None:
    spec = replace(INPUT, data_type=DataType.INT16)
    recorded = replace(MANIFEST, inputs=(spec,), golden=replace(GOLDEN, draw=draw))
    bench = Bench(library=_Library(manifest=recorded))
    bench.check()
    (frame,) = bench.sent
    assert (bytes(frame.tensors[0].data),) == golden_inputs([spec], GOLDEN.seed, draw=draw)
    bench.result(EXPECTED[0])
    assert bench.outcomes == [(None, False)]


def test_a_run_recorded_in_a_way_of_the_future_is_the_failure() -> None:
    later = replace(MANIFEST, golden=replace(GOLDEN, draw=9))
    bench = Bench(library=_Library(manifest=later))
    bench.check()
    ((failure, again),) = bench.outcomes
    assert failure is not None
    assert "inputs of draw 9" in failure
    assert (again, bench.sent) == (False, [])


def test_the_recorded_answer_passes() -> None:
    bench = Bench()
    bench.check()
    bench.result(EXPECTED[0])
    assert bench.outcomes == [(None, False)]


def test_within_one_kernel_class_every_bit_counts() -> None:
    bench = Bench()
    bench.check()
    bench.result(NEAR)
    ((failure, again),) = bench.outcomes
    assert failure is not None
    assert "bit for bit" in failure
    assert not again


@pytest.mark.parametrize(("data", "passes"), [(NEAR, True), (b"\x10\x40", False)])
def test_across_kernel_classes_a_tolerance_counts(data: bytes, passes: bool) -> None:
    bench = Bench(kernel_class="another")
    bench.check()
    bench.result(data)
    ((failure, again),) = bench.outcomes
    assert ((failure is None), again) == (passes, False)


def test_an_error_is_the_failure() -> None:
    bench = Bench()
    bench.check()
    bench.fail(InvokeError("bad numbers"))
    assert bench.outcomes == [("bad numbers", False)]


def test_an_error_that_may_pass_is_waited_out() -> None:
    bench = Bench()
    bench.check()
    bench.fail(NodeLostError("gone"))
    assert bench.outcomes == []


def test_a_model_without_a_record_is_not_served() -> None:
    bench = Bench(library=_Library(manifest=replace(MANIFEST, golden=None)))
    bench.check()
    ((failure, again),) = bench.outcomes
    assert failure is not None
    assert "add it again" in failure
    assert (again, bench.sent) == (False, [])


@pytest.mark.parametrize("error", [StoreError("there is no file"), NodeLostError("not now")])
def test_a_record_that_cannot_be_read_is_the_failure(error: MeshError) -> None:
    bench = Bench(library=_Library(failure=error))
    bench.check()
    assert bench.outcomes == [(str(error), error.retryable)]


# Replicas

REPLICATED = replace(
    PLAN, stages=(sample_stage(A, B, start=0, stop=1), sample_stage(C, start=1, stop=2))
)


def took(frame: Frame, *replicas: int, data: bytes = EXPECTED[0]) -> Frame:
    """The result of stages that were computed by these replicas."""
    return replace(
        frame,
        kind=FrameKind.RESULT,
        timings=tuple(
            StageTime(stage=i, replica=replica, queue_s=0.0, compute_s=0.01)
            for i, replica in enumerate(replicas)
        ),
        tensors=(FrameTensor(index=OUTPUT.index, data=data),),
    )


def at_second(bench: Bench) -> Bench:
    """The first way has passed."""
    bench.check(REPLICATED)
    bench.dispatcher.result(took(bench.sent[0], 0, 0))
    return bench


def test_the_golden_input_goes_through_every_replica() -> None:
    bench = Bench()
    bench.check(REPLICATED)
    assert bench.sent_to == [A], "a node computes one at a time"
    bench.dispatcher.result(took(bench.sent[0], 0, 0))
    assert bench.outcomes == [], "one has not answered yet"
    assert bench.sent_to == [A, B]
    assert [frame.way for frame in bench.sent] == [1, 2]
    bench.dispatcher.result(took(bench.sent[1], 1, 0))
    assert bench.outcomes == [(None, False)]


def test_ways_that_share_no_node_go_together() -> None:
    bench = Bench()
    bench.check(replace(PLAN, stages=(sample_stage(A, B, C, start=0, stop=1),)))
    assert bench.sent_to == [A, B, C]
    for number in (2, 0, 1):
        assert bench.outcomes == []
        bench.dispatcher.result(took(bench.sent[number], number))
    assert bench.outcomes == [(None, False)]


def test_one_replica_with_other_numbers_is_the_failure_and_named() -> None:
    bench = at_second(Bench())
    bench.dispatcher.result(took(bench.sent[1], 1, 0, data=NEAR))
    ((failure, again),) = bench.outcomes
    assert failure is not None
    assert "through b, c bit for bit" in failure
    assert not again


def test_a_failure_is_told_once_and_ends_the_check() -> None:
    bench = Bench()
    bench.check(replace(PLAN, stages=(sample_stage(A, B, start=0, stop=1),)))
    bench.dispatcher.result(took(bench.sent[1], 1, data=b"\xff\xff"))
    bench.dispatcher.result(took(bench.sent[0], 0))
    assert len(bench.outcomes) == 1
    lost = Bench()
    lost.check(REPLICATED)
    lost.dispatcher.result(took(lost.sent[0], 0, 0, data=b"\xff\xff"))
    assert lost.sent_to == [A], "the next way is not tried"


def test_each_way_is_held_to_what_its_nodes_can_do() -> None:
    bench = at_second(Bench(second_class="another"))
    bench.dispatcher.result(took(bench.sent[1], 1, 0, data=NEAR))
    assert bench.outcomes == [(None, False)]


def test_an_answer_that_went_another_way_proves_nothing() -> None:
    bench = at_second(Bench())
    bench.dispatcher.result(took(bench.sent[1], 0, 0))
    ((failure, again),) = bench.outcomes
    assert (failure, again) == ("the golden input did not go through b, c", True)
