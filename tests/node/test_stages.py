import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from mesh.config import Config
from mesh.errors import (
    ChildDiedError,
    InvokeError,
    StaleEpochError,
    StoreError,
    UnsupportedModelError,
)
from mesh.fleet.reconcile import StageKey
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey
from mesh.model import cut_points
from mesh.model.tensor import TensorSpec
from mesh.node import revival
from mesh.node.held_stage import ModelFile
from mesh.node.loop import Loop
from mesh.node.stages import Stages
from mesh.pipeline.stage import Parcel
from mesh.pipeline.stage_sessions import SessionLimits
from mesh.testing.documents import sample_stage
from mesh.testing.runtime import FakeCall, FakeRuntime
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanPhase, StageState, StageStatus
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.topics import Lane

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME, NEXT, GATEWAY = NodeId("0" * 16), NodeId("a" * 16), NodeId("b" * 16)
MODEL = ModelId("0" * 64)
KEY = RequestKey(bytes(16))
RESTARTS = len(revival.WAITS_S)


@dataclass(slots=True)
class Bench:
    """Stages of a plan over this node and the next, computed by a fake runtime."""

    file: ModelFile
    run_until: RunUntil
    slices_dir: Path
    loop: Loop = field(default_factory=Loop)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    out: list[Parcel] = field(default_factory=list)
    changes: int = 0
    stages: Stages = field(init=False)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.stages = Stages(
            self.loop,
            self.runtime,
            self.slices_dir,
            me=ME,
            threads_of={MODEL: 3}.__getitem__,
            emit=self.out.append,
            on_change=self.changed,
            session_limits=SessionLimits.of(Config()),
        )
        self.stages.clean()
        cut, end = cut_points(self.file.model)[0].layer, len(self.file.model.layers)
        self.plan = plan_of((0, cut, ME), (cut, end, NEXT))

    def changed(self) -> None:
        self.changes += 1

    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.file.model.inputs

    def load(self, plan: Plan | None = None, stage: int = 0) -> None:
        self.stages.load(plan or self.plan, stage, self.file)
        self.until(lambda: self.status().state is not StageState.LOADING)

    def status(self) -> StageStatus:
        (status,) = self.stages.document().stages
        return status

    def is_ready_again(self, lives: int) -> bool:
        """Whether so many interpreters have been started, and the last one is ready."""
        return len(self.runtime.slices) == lives and self.status().state is StageState.READY

    def until(self, is_done: Callable[[], bool]) -> None:
        self.run_until(self.loop, is_done)

    def frame(self, *, plan_id: str | None = None, time_left_s: float = 30.0) -> Frame:
        (spec,) = self.inputs()
        return Frame(
            kind=FrameKind.ACTIVATION,
            request_key=KEY,
            sender=GATEWAY,
            plan_id=PlanId(plan_id or self.plan.plan_id),
            epoch=Epoch(1),
            attempt=1,
            time_left_s=time_left_s,
            tensors=(FrameTensor(index=spec.index, data=bytes(spec.size_bytes)),),
        )

    def answer(self, frame: Frame | None = None) -> Parcel:
        before = len(self.out)
        self.stages.frame(frame or self.frame())
        self.until(lambda: len(self.out) > before)
        return self.out[-1]


def plan_of(*parts: tuple[int, int, NodeId]) -> Plan:
    return Plan(
        plan_id=PlanId("f" * 16),
        epoch=Epoch(1),
        model_id=MODEL,
        phase=PlanPhase.LIVE,
        stages=tuple(
            sample_stage(node_id, start=start, stop=stop, compute_s=0.01, transfer_s=0.0)
            for start, stop, node_id in parts
        ),
        bottleneck_s=0.01,
        bottleneck="",
        latency_s=0.01,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


@pytest.fixture
def bench(
    model_file: ModelFile, run_until: RunUntil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr(revival, "WAITS_S", (0.0,) * RESTARTS)
    return Bench(file=model_file, run_until=run_until, slices_dir=tmp_path / "slices")


def code_of(parcel: Parcel) -> str:
    assert parcel.lane is Lane.RESULT
    assert parcel.node_id == GATEWAY
    assert parcel.frame.kind is FrameKind.ERROR
    return refusal.decode(parcel.frame.error).code


def test_a_stage_is_cut_loaded_and_reported(bench: Bench) -> None:
    bench.load()
    assert bench.status().state is StageState.READY
    assert bench.status().resident_bytes == bench.runtime.resident_bytes
    assert bench.stages.held == {StageKey(plan_id=bench.plan.plan_id, stage=0)}
    assert len(list(bench.slices_dir.iterdir())) == 1
    assert bench.changes >= 2


def test_the_whole_model_is_loaded_from_the_store_uncopied(bench: Bench) -> None:
    end = len(bench.file.model.layers)
    bench.load(plan_of((0, end, ME)))
    assert list(bench.slices_dir.iterdir()) == []


def test_a_stage_gets_the_threads_of_its_model(bench: Bench) -> None:
    bench.load()
    (loaded,) = bench.runtime.slices
    assert loaded.threads == 3


def test_a_frame_is_computed_and_goes_on_to_the_next_stage(bench: Bench) -> None:
    bench.load()
    parcel = bench.answer()
    assert (parcel.node_id, parcel.lane) == (NEXT, Lane.STAGE)
    assert (parcel.frame.kind, parcel.frame.stage) == (FrameKind.ACTIVATION, 1)
    assert [time.stage for time in parcel.frame.timings] == [0]


def test_the_last_stage_answers_the_gateway(bench: Bench) -> None:
    end = len(bench.file.model.layers)
    bench.load(plan_of((0, end, ME)))
    parcel = bench.answer()
    assert (parcel.node_id, parcel.lane, parcel.frame.kind) == (
        GATEWAY,
        Lane.RESULT,
        FrameKind.RESULT,
    )
    (output,) = bench.file.model.outputs
    assert [(t.index, len(t.data)) for t in parcel.frame.tensors] == [
        (output.index, output.size_bytes)
    ]


def test_a_frame_for_a_plan_that_is_not_held_is_refused(bench: Bench) -> None:
    bench.load()
    assert code_of(bench.answer(bench.frame(plan_id="0" * 16))) == StaleEpochError.code


def test_an_error_of_the_interpreter_is_told_and_the_stage_goes_on(bench: Bench) -> None:
    bench.load()
    bench.runtime.slices[0].fail_next("bad numbers")
    assert code_of(bench.answer()) == InvokeError.code
    assert bench.answer().frame.kind is FrameKind.ACTIVATION
    assert len(bench.runtime.slices) == 1


def test_an_interpreter_that_died_is_told_and_loaded_again(bench: Bench) -> None:
    bench.load()
    bench.runtime.slices[0].die()
    assert code_of(bench.answer()) == ChildDiedError.code
    bench.until(lambda: len(bench.runtime.slices) == 2)
    bench.until(lambda: bench.status().state is StageState.READY)
    assert bench.answer().frame.kind is FrameKind.ACTIVATION


def test_a_stage_whose_interpreter_dies_again_and_again_is_given_up(bench: Bench) -> None:
    bench.load()
    for lives in range(1, RESTARTS + 2):
        bench.until(partial(bench.is_ready_again, lives))
        bench.runtime.slices[-1].die()
        assert code_of(bench.answer()) == ChildDiedError.code
    bench.until(lambda: bench.status().state is StageState.FAILED)
    assert "quarantined: its interpreter ended 4 times" in (bench.status().error or "")
    assert code_of(bench.answer()) == StaleEpochError.code


def test_deaths_that_lie_far_apart_do_not_add_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "WINDOW_S", 0.0)
    bench.load()
    for lives in range(1, RESTARTS + 3):
        bench.until(partial(bench.is_ready_again, lives))
        bench.runtime.slices[-1].die()
        assert code_of(bench.answer()) == ChildDiedError.code
    bench.until(partial(bench.is_ready_again, RESTARTS + 3))


def test_an_interpreter_that_is_killed_while_it_loads_is_loaded_again(bench: Bench) -> None:
    bench.runtime.next_load_error = ChildDiedError("somebody killed it")
    bench.load()
    assert bench.status().state is StageState.READY


def test_what_waits_behind_a_stage_that_is_given_up_did_not_kill_it(bench: Bench) -> None:
    bench.load()
    for lives in range(1, RESTARTS + 1):
        bench.until(partial(bench.is_ready_again, lives))
        bench.runtime.slices[-1].die()
        bench.answer()
    bench.until(partial(bench.is_ready_again, RESTARTS + 1))
    bench.runtime.slices[-1].hang()
    before = len(bench.out)
    for _ in range(2):
        bench.stages.frame(bench.frame())
    bench.runtime.slices[-1].die()
    bench.until(lambda: len(bench.out) == before + 2)
    assert [code_of(one) for one in bench.out[before:]] == [
        ChildDiedError.code,
        StaleEpochError.code,
    ]


def test_a_frame_that_comes_while_a_stage_is_given_up_is_answered_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "WAITS_S", ())
    others = set(threading.enumerate())
    bench.load()
    (thread,) = set(threading.enumerate()) - others
    bench.runtime.slices[-1].die()
    bench.stages.frame(bench.frame())
    thread.join(10.0)
    bench.stages.frame(bench.frame())  # the loop has not heard of the end yet
    bench.until(lambda: len(bench.out) == 2)
    assert [code_of(one) for one in bench.out] == [ChildDiedError.code, StaleEpochError.code]


def test_a_stage_whose_thread_breaks_down_does_not_look_ready(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_call: FakeCall) -> list[bytes]:
        raise ZeroDivisionError

    bench.runtime.compute = broken
    bench.load()
    bench.stages.frame(bench.frame())
    bench.until(lambda: bench.status().state is StageState.FAILED)
    assert "ZeroDivisionError" in (bench.status().error or "")
    assert code_of(bench.answer()) == StaleEpochError.code
    assert "broke down" in caplog.text


def test_a_stage_that_comes_back_at_once_keeps_its_file(bench: Bench) -> None:
    """Its predecessor may end, and tidy up, only after it has written its own."""
    bench.load()
    bench.runtime.slices[0].hang()
    bench.stages.frame(bench.frame())
    bench.stages.unload(StageKey(plan_id=bench.plan.plan_id, stage=0))
    bench.load()
    bench.runtime.slices[0].die()
    bench.until(lambda: len(list(bench.slices_dir.iterdir())) == 1)
    assert bench.answer().frame.kind is FrameKind.ACTIVATION


def test_a_slice_that_cannot_be_loaded_is_reported(bench: Bench) -> None:
    bench.runtime.next_load_error = UnsupportedModelError("an operator is too new")
    bench.load()
    assert bench.status().state is StageState.FAILED
    assert bench.status().error == "an operator is too new"


def test_a_stage_that_cannot_begin_is_held_as_failed_until_let_go(bench: Bench) -> None:
    bench.stages.give_up(bench.plan, 0, StoreError("the file is not here"))
    assert bench.status().state is StageState.FAILED
    key = StageKey(plan_id=bench.plan.plan_id, stage=0)
    assert bench.stages.held == {key}
    bench.stages.unload(key)
    assert bench.stages.held == frozenset()


def test_a_range_without_a_legal_cut_is_refused(bench: Bench) -> None:
    with pytest.raises(UnsupportedModelError):
        bench.stages.load(plan_of((0, 99, ME), (99, 100, NEXT)), 0, bench.file)


def test_a_stage_that_is_let_go_ends_its_interpreter_and_removes_its_slice(bench: Bench) -> None:
    bench.load()
    bench.stages.unload(StageKey(plan_id=bench.plan.plan_id, stage=0))
    bench.until(lambda: bench.runtime.slices[0].resident_bytes == 0)
    bench.until(lambda: not list(bench.slices_dir.iterdir()))
    assert bench.stages.document().stages == ()


def test_letting_go_of_what_is_not_held_changes_nothing(bench: Bench) -> None:
    bench.stages.unload(StageKey(plan_id=PlanId("0" * 16), stage=3))
    assert bench.changes == 0


def test_a_frame_whose_gateway_has_answered_is_dropped(bench: Bench) -> None:
    bench.load()
    bench.stages.frame(bench.frame(time_left_s=0.0))
    bench.until(lambda: bench.stages.late == 1)
    assert bench.out == []


def test_what_an_earlier_life_left_is_removed(bench: Bench) -> None:
    (bench.slices_dir / "old.tflite").touch()
    bench.stages.clean()
    assert list(bench.slices_dir.iterdir()) == []


def test_closing_ends_every_interpreter(bench: Bench) -> None:
    bench.load()
    bench.stages.close()
    assert bench.runtime.slices[0].resident_bytes == 0
