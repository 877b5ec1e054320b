from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ChildDiedError, InvokeError
from mesh.fleet.routes import Route, whole_route
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.model.tensor import DataType, StageInterface, TensorSpec
from mesh.pipeline.replica_choice import Turns
from mesh.pipeline.stage import (
    QUEUE_LIMIT,
    Parcel,
    Role,
    Work,
    accept,
    forward,
    is_late,
    next_receivers,
    refuse,
)
from mesh.testing.documents import sample_stage
from mesh.wire import frame as frames
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor, SessionStep, StageTime
from mesh.wire.topics import Lane

A, B, C, D, GATEWAY = (NodeId(digit * 16) for digit in "abcd9")


def spec(index: int, size: int) -> TensorSpec:
    return TensorSpec(index=index, name=f"t{index}", data_type=DataType.UINT8, shape=(size,))


IMAGE, MASK, HIDDEN, SCORES = spec(0, 4), spec(1, 2), spec(5, 3), spec(9, 1)

PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(3),
    model_id=ModelId("0" * 64),
    phase=PlanPhase.LIVE,
    stages=(
        sample_stage(A, start=0, stop=4, compute_s=0.1, transfer_s=0.0),
        sample_stage(B, start=4, stop=9, compute_s=0.1, transfer_s=0.0),
    ),
    bottleneck_s=0.1,
    bottleneck="",
    latency_s=0.2,
    single_node=None,
    single_node_s=None,
    verdict="",
)
# The mask passes the first stage by; the second takes both, in another order, and sends scores.
FIRST = Role(
    plan=PLAN,
    stage=0,
    interface=StageInterface(
        received=(IMAGE, MASK), consumed=(IMAGE,), produced=(HIDDEN,), sent=(MASK, HIDDEN)
    ),
)
LAST = Role(
    plan=PLAN,
    stage=1,
    interface=StageInterface(
        received=(MASK, HIDDEN), consumed=(HIDDEN, MASK), produced=(SCORES,), sent=(MASK, SCORES)
    ),
)


def tensor(of: TensorSpec, letter: bytes) -> FrameTensor:
    return FrameTensor(index=of.index, data=letter * of.size_bytes)


REQUEST = Frame(
    kind=FrameKind.ACTIVATION,
    request_key=RequestKey(b"k" * 16),
    sender=GATEWAY,
    plan_id=PLAN.plan_id,
    epoch=PLAN.epoch,
    stage=0,
    attempt=2,
    time_left_s=5.0,
    tensors=(tensor(IMAGE, b"i"), tensor(MASK, b"m")),
)


def taken(role: Role | None, frame: Frame, *, queued: int = 0, now_s: float = 10.0) -> Work:
    outcome = accept(role, frame, queued=queued, now_s=now_s)
    assert isinstance(outcome, Work)
    return outcome


def code_of(outcome: Work | Parcel) -> str:
    """The code of the refusal, which goes to the gateway that waits."""
    assert isinstance(outcome, Parcel)
    assert (outcome.node_id, outcome.lane) == (GATEWAY, Lane.RESULT)
    assert outcome.frame.kind is FrameKind.ERROR
    assert outcome.frame.tensors == ()
    opened = frames.decode(frames.encode(outcome.frame), max_bytes=1 << 20)
    assert opened == outcome.frame
    return refusal.decode(opened.error).code


def test_a_request_goes_through_both_stages() -> None:
    work = taken(FIRST, REQUEST)
    assert work.inputs == (b"iiii",)
    parcel = forward(work, (b"hhh",), compute_s=0.25, now_s=11.0, receivers=(B,))
    assert (parcel.node_id, parcel.lane) == (B, Lane.STAGE)
    onward = parcel.frame
    assert (onward.kind, onward.stage) == (FrameKind.ACTIVATION, 1)
    assert onward.tensors == (tensor(MASK, b"m"), tensor(HIDDEN, b"h"))
    assert onward.time_left_s == 4.0
    assert onward.timings == (StageTime(stage=0, queue_s=0.75, compute_s=0.25),)

    work = taken(LAST, onward)
    assert work.inputs == (b"hhh", b"mm")
    parcel = forward(work, (b"s",), compute_s=0.5, now_s=10.5, receivers=(B,))
    assert (parcel.node_id, parcel.lane) == (GATEWAY, Lane.RESULT)
    result = parcel.frame
    assert (result.kind, result.stage) == (FrameKind.RESULT, 1)
    assert result.tensors == (tensor(MASK, b"m"), tensor(SCORES, b"s"))
    assert [timing.stage for timing in result.timings] == [0, 1]


def test_each_replica_signs_its_time() -> None:
    second = replace(LAST, replica=1)
    result = forward(
        taken(second, onward_of(REQUEST)), (b"s",), compute_s=0.5, now_s=10.5, receivers=()
    ).frame
    assert [(time.stage, time.replica) for time in result.timings] == [(0, 0), (1, 1)]


def onward_of(frame: Frame) -> Frame:
    """The frame behind the first stage."""
    work = taken(FIRST, frame)
    return forward(work, (b"hhh",), compute_s=0.25, now_s=11.0, receivers=(B,)).frame


WIDE = replace(PLAN, stages=(PLAN.stages[0], sample_stage(B, C, D, start=4, stop=9)))


def receivers_of(frame: Frame, usable: set[NodeId], turns: Turns[NodeId]) -> tuple[NodeId, ...]:
    route = Route(plan=WIDE, usable=(frozenset({A}), frozenset(usable)))
    return next_receivers(replace(FIRST, plan=WIDE), frame, route, turns)


def test_the_next_stages_replicas_take_turns_and_each_names_the_others() -> None:
    turns: Turns[NodeId] = Turns()
    chosen = [receivers_of(REQUEST, {B, C, D}, turns) for _ in range(3)]
    assert sorted(one[0] for one in chosen) == [B, C, D]
    assert all(set(one) == {B, C, D} and len(one) == 3 for one in chosen)


def test_a_replica_that_cannot_take_it_is_passed_by() -> None:
    turns: Turns[NodeId] = Turns()
    assert {receivers_of(REQUEST, {B, D}, turns)[0] for _ in range(4)} == {B, D}
    assert receivers_of(replace(REQUEST, way=2), {C, D}, turns)[0] == C
    assert receivers_of(replace(REQUEST, way=2), {B}, turns) == (B,)


def test_a_step_goes_where_its_way_leads_or_nowhere() -> None:
    turns: Turns[NodeId] = Turns()
    key = SessionKey(b"s" * 16)
    for way, node_id in ((1, B), (2, C), (3, D), (4, B)):
        step = replace(REQUEST, kind=FrameKind.STEP, step=SessionStep(key=key, number=0), way=way)
        assert receivers_of(step, {B}, turns) == (node_id,)


def test_nobody_receives_what_the_last_stage_makes() -> None:
    assert next_receivers(LAST, REQUEST, whole_route(PLAN), Turns()) == ()


def test_what_names_the_request_stays_the_same_all_the_way() -> None:
    for frame in (
        forward(taken(FIRST, REQUEST), (b"hhh",), compute_s=0.0, now_s=10.0, receivers=(B,)).frame,
        refuse(REQUEST, InvokeError("wrong")).frame,
    ):
        for field in ("request_key", "sender", "plan_id", "epoch", "attempt"):
            assert getattr(frame, field) == getattr(REQUEST, field)


def test_a_plan_that_is_not_held_is_stale() -> None:
    assert code_of(accept(None, REQUEST, queued=0, now_s=0.0)) == "STALE_EPOCH"


def test_a_full_stage_refuses() -> None:
    assert taken(FIRST, REQUEST, queued=QUEUE_LIMIT - 1).role is FIRST
    assert code_of(accept(FIRST, REQUEST, queued=QUEUE_LIMIT, now_s=0.0)) == "OVERLOADED"


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (tensor(IMAGE, b"i"),),  # what only passes by is missing
        (tensor(MASK, b"m"),),
        (tensor(IMAGE, b"i"), FrameTensor(index=MASK.index, data=b"mmm")),
        (FrameTensor(index=IMAGE.index, data=b""), tensor(MASK, b"m")),
        (tensor(HIDDEN, b"h"), tensor(SCORES, b"s")),
    ],
)
def test_missing_tensors_and_wrong_sizes_are_refused(tensors: tuple[FrameTensor, ...]) -> None:
    frame = replace(REQUEST, tensors=tensors)
    assert code_of(accept(FIRST, frame, queued=0, now_s=0.0)) == "BAD_MESSAGE"


def test_tensors_that_nobody_asked_for_go_no_further() -> None:
    frame = replace(REQUEST, tensors=(*REQUEST.tensors, FrameTensor(index=77, data=b"?" * 99)))
    onward = forward(
        taken(FIRST, frame), (b"hhh",), compute_s=0.0, now_s=10.0, receivers=(B,)
    ).frame
    assert [one.index for one in onward.tensors] == [MASK.index, HIDDEN.index]


def test_a_tensor_that_the_stage_makes_replaces_what_came_under_its_name() -> None:
    frame = replace(REQUEST, tensors=(*REQUEST.tensors, tensor(HIDDEN, b"?")))
    onward = forward(
        taken(FIRST, frame), (b"hhh",), compute_s=0.0, now_s=10.0, receivers=(B,)
    ).frame
    assert onward.tensors[-1] == tensor(HIDDEN, b"h")


def test_work_is_late_when_its_gateway_has_answered() -> None:
    work = taken(FIRST, REQUEST, now_s=10.0)
    assert not is_late(work, now_s=15.0)
    assert is_late(work, now_s=15.1)


def test_a_fault_of_the_stage_is_told_to_the_gateway() -> None:
    assert code_of(refuse(REQUEST, ChildDiedError("gone"))) == "RUNTIME_CRASHED"
    assert code_of(refuse(REQUEST, ZeroDivisionError())) == "INTERNAL"


sizes = st.dictionaries(st.integers(0, 12), st.integers(0, 6), max_size=6)


@given(sizes)
def test_any_tensors_are_taken_whole_or_refused(sizes_by_index: dict[int, int]) -> None:
    tensors = tuple(FrameTensor(index=i, data=bytes(n)) for i, n in sizes_by_index.items())
    outcome = accept(LAST, replace(REQUEST, tensors=tensors), queued=0, now_s=0.0)
    fits = all(sizes_by_index.get(s.index) == s.size_bytes for s in LAST.interface.received)
    if fits:
        assert isinstance(outcome, Work)
        assert [len(data) for data in outcome.inputs] == [HIDDEN.size_bytes, MASK.size_bytes]
    else:
        assert code_of(outcome) == "BAD_MESSAGE"


@given(
    compute_s=st.floats(0, 10), elapsed_s=st.floats(0, 10), time_left_s=st.floats(0, 10, width=32)
)
def test_times_add_up_and_are_never_negative(
    compute_s: float, elapsed_s: float, time_left_s: float
) -> None:
    work = taken(FIRST, replace(REQUEST, time_left_s=time_left_s), now_s=0.0)
    onward = forward(work, (b"hhh",), compute_s=compute_s, now_s=elapsed_s, receivers=(B,)).frame
    assert onward.time_left_s == max(0.0, time_left_s - elapsed_s)
    (timing,) = onward.timings
    assert timing.queue_s >= 0
    assert timing.queue_s + timing.compute_s == pytest.approx(max(elapsed_s, compute_s))
    frames.decode(frames.encode(onward), max_bytes=1 << 20)
