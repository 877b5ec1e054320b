"""A held stage in sessions: its state, its interpreters, and what becomes of both."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mesh.config import Config
from mesh.errors import UnsupportedModelError
from mesh.fleet.reconcile import StageKey
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.model import read_model, stage_interface
from mesh.model.tensor import LayerRange
from mesh.node.held_stage import HeldStage, ModelFile, drop_session, is_whole
from mesh.node.loop import Loop
from mesh.node.stages import Stages
from mesh.pipeline.stage import Parcel, Role
from mesh.pipeline.stage_sessions import PATIENCE, SessionLimits, SessionRoom, StageSessions
from mesh.testing.documents import sample_stage
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime
from mesh.testing.sequence_models import gated_cell, variable_filter
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanPhase, StageState
from mesh.wire.frame import Frame, FrameKind, FrameTensor, SessionStep

RunUntil = Callable[[Loop, Callable[[], bool]], None]

ME, GATEWAY = NodeId("a" * 16), NodeId("9" * 16)
A, B, C = (SessionKey(letter * 16) for letter in (b"a", b"b", b"c"))
CONFIG = Config(max_sessions=3, max_session_interpreters=2, session_idle_s=10.0)


@dataclass(slots=True)
class Bench:
    """One stage with a whole model, whose runtime gives the digest of what it is given."""

    file: ModelFile
    run_until: RunUntil
    slices_dir: Path
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    out: list[Parcel] = field(default_factory=list)
    now_s: float = 0.0
    stages: Stages = field(init=False)
    loop: Loop = field(init=False)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.loop = Loop()
        self.stages = Stages(
            self.loop,
            self.runtime,
            self.slices_dir,
            me=ME,
            threads_of=lambda _model_id: 1,
            emit=self.out.append,
            on_change=lambda: None,
            session_limits=SessionLimits.of(CONFIG),
        )
        self.stages.clean()
        self.plan = Plan(
            plan_id=PlanId("f" * 16),
            epoch=Epoch(1),
            model_id=ModelId("0" * 64),
            phase=PlanPhase.LIVE,
            stages=(
                sample_stage(
                    ME,
                    start=0,
                    stop=len(self.file.model.layers),
                    compute_s=0.01,
                    transfer_s=0.0,
                ),
            ),
            bottleneck_s=0.01,
            bottleneck="",
            latency_s=0.01,
            single_node=None,
            single_node_s=None,
            verdict="",
        )
        self.stages.load(self.plan, 0, self.file)
        self.until(lambda: self.state() is StageState.READY)

    @property
    def key(self) -> StageKey:
        return StageKey(plan_id=self.plan.plan_id, stage=0)

    def state(self) -> StageState:
        (status,) = self.stages.document().stages
        return status.state

    def until(self, is_done: Callable[[], bool]) -> None:
        self.run_until(self.loop, is_done)

    def frame(self, step: SessionStep | None, *, time_left_s: float = 30.0) -> Frame:
        (spec,) = self.file.model.inputs
        return Frame(
            kind=FrameKind.ACTIVATION if step is None else FrameKind.STEP,
            request_key=RequestKey(b"k" * 16),
            sender=GATEWAY,
            plan_id=self.plan.plan_id,
            epoch=Epoch(1),
            attempt=1,
            time_left_s=time_left_s,
            tensors=(FrameTensor(index=spec.index, data=bytes(spec.size_bytes)),),
            step=step,
        )

    def take(self, number: int, key: SessionKey = A, *, ends: bool = False) -> bytes | str:
        """The output of a step, or the code of its refusal."""
        return self.answer(self.frame(SessionStep(key=key, number=number, ends=ends)))

    def answer(self, frame: Frame) -> bytes | str:
        before = len(self.out)
        self.stages.frame(frame)
        self.until(lambda: len(self.out) > before)
        told = self.out[-1].frame
        if told.kind is FrameKind.ERROR:
            return refusal.decode(told.error).code
        return bytes(told.tensors[0].data)

    def drop(self, key: SessionKey = A) -> None:
        step = SessionStep(key=key, number=0, ends=True)
        self.stages.frame(replace(self.frame(None), kind=FrameKind.DROP, step=step, tensors=()))

    def alive(self) -> int:
        return sum(one.resident_bytes > 0 for one in self.runtime.slices)


MakeBench = Callable[[bytes], Bench]


@pytest.fixture
def make(run_until: RunUntil, tmp_path: Path) -> MakeBench:
    def one(content: bytes) -> Bench:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        file = ModelFile(path=path, model=read_model(content))
        return Bench(file=file, run_until=run_until, slices_dir=tmp_path / "slices")

    return one


def test_a_file_is_a_stage_where_it_takes_and_gives_the_same() -> None:
    model = read_model(tiny_dense())
    end = len(model.layers)
    assert is_whole(stage_interface(model, LayerRange(start=0, stop=end)), model)
    assert not is_whole(stage_interface(model, LayerRange(start=0, stop=1)), model)


# State that goes in and out


def test_each_step_is_computed_on_what_the_one_before_left(make: MakeBench) -> None:
    bench = make(gated_cell())
    first, second, third = (bench.take(number) for number in range(3))
    assert len({first, second, third}) == 3, "the same input on other states"
    assert [bench.take(number, B) for number in range(3)] == [first, second, third]
    assert len(bench.runtime.slices) == 1


def test_a_request_of_no_session_is_computed_on_zeros_and_leaves_nothing(make: MakeBench) -> None:
    bench = make(gated_cell())
    first = bench.take(0)
    assert bench.answer(bench.frame(None)) == first
    second = bench.take(1)
    assert second != first
    assert bench.answer(bench.frame(None)) == first
    assert bench.take(0, B) == first
    assert bench.take(1, B) == second


def test_a_step_comes_once_and_in_its_turn(make: MakeBench) -> None:
    bench = make(gated_cell())
    bench.take(0)
    assert bench.take(0) == "SESSION_LOST"
    assert bench.take(2) == "SESSION_LOST", "there was a gap"
    assert isinstance(bench.take(1), bytes)


@pytest.mark.parametrize("model", [gated_cell, variable_filter])
def test_a_session_is_over_with_its_last_step_or_when_it_is_dropped(
    make: MakeBench, model: Callable[[], bytes]
) -> None:
    bench = make(model())
    bench.take(0)
    assert bench.stages.in_session == {bench.key}
    bench.take(1, ends=True)
    assert bench.stages.in_session == frozenset()
    assert bench.take(2) == "SESSION_LOST"
    bench.take(0, B)
    bench.drop(B)
    assert bench.stages.in_session == frozenset()
    assert bench.take(1, B) == "SESSION_LOST"


def test_a_step_that_came_too_late_ends_its_session_here(make: MakeBench) -> None:
    bench = make(gated_cell())
    bench.take(0)
    bench.stages.frame(bench.frame(SessionStep(key=A, number=1), time_left_s=0.0))
    bench.until(lambda: bench.stages.late == 1)
    assert bench.take(2) == "SESSION_LOST"


def test_a_failed_step_ends_its_session_and_no_other(make: MakeBench) -> None:
    bench = make(gated_cell())
    bench.take(0, A)
    bench.take(0, B)
    bench.runtime.slices[0].fail_next("bad numbers")
    assert bench.take(1, A) == "INVOKE_FAILED"
    assert bench.take(2, A) == "SESSION_LOST"
    assert isinstance(bench.take(1, B), bytes)


def test_state_outlives_an_interpreter_that_dies(make: MakeBench) -> None:
    bench = make(gated_cell())
    expected = [bench.take(number, B) for number in range(2)]
    bench.take(0, A)
    bench.runtime.slices[0].die()
    assert bench.take(0, C) == "RUNTIME_CRASHED"
    bench.until(lambda: len(bench.runtime.slices) == 2 and bench.state() is StageState.READY)
    assert bench.take(1, A) == expected[1]


def test_sessions_that_nobody_goes_on_with_expire(
    make: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(gated_cell())
    bench.take(0)
    bench.stages.expire_sessions()
    assert bench.stages.in_session == {bench.key}
    later_s = bench.loop.now_s() + PATIENCE * CONFIG.session_idle_s
    monkeypatch.setattr(bench.loop, "now_s", lambda: later_s)
    bench.stages.expire_sessions()
    assert bench.stages.in_session == frozenset()


def test_a_stage_that_is_let_go_takes_its_sessions_with_it(make: MakeBench) -> None:
    bench = make(gated_cell())
    bench.take(0)
    bench.stages.unload(bench.key)
    assert bench.take(1) == "STALE_EPOCH"
    bench.stages.load(bench.plan, 0, bench.file)
    bench.until(lambda: bench.state() is StageState.READY)
    assert bench.take(1) == "SESSION_LOST"


# State inside the interpreter


def test_each_session_has_an_interpreter_of_its_own_and_a_fresh_one_waits(make: MakeBench) -> None:
    bench = make(variable_filter())
    for number in range(3):
        assert isinstance(bench.take(number, A), bytes)
    bench.until(lambda: len(bench.runtime.slices) == 2)
    bench.take(0, B)
    bench.until(lambda: len(bench.runtime.slices) == 3)
    assert bench.alive() == 3
    bench.take(3, A, ends=True)
    bench.until(lambda: bench.alive() == 2)
    assert bench.runtime.slices[0].resident_bytes == 0


def test_a_request_of_no_session_has_a_fresh_interpreter_to_itself(make: MakeBench) -> None:
    bench = make(variable_filter())
    for lives in (2, 3):
        assert isinstance(bench.answer(bench.frame(None)), bytes)
        bench.until(lambda lives=lives: len(bench.runtime.slices) == lives)  # type: ignore[misc]
        bench.until(lambda: bench.alive() == 1)


def test_so_many_sessions_hold_an_interpreter_and_no_more(make: MakeBench) -> None:
    bench = make(variable_filter())
    for key in (A, B):
        assert isinstance(bench.take(0, key), bytes)
    assert bench.take(0, C) == "OVERLOADED"
    bench.drop(A)
    assert isinstance(bench.take(0, SessionKey(b"d" * 16)), bytes)


def test_steps_out_of_turn_free_no_interpreter_that_still_runs(make: MakeBench) -> None:
    bench = make(variable_filter())
    for key in (A, B):
        bench.take(0, key)
        assert bench.take(5, key) == "SESSION_LOST"
    assert bench.take(0, C) == "OVERLOADED"


def test_sessions_go_on_where_there_is_no_room_for_another_interpreter(make: MakeBench) -> None:
    bench = make(variable_filter())
    bench.runtime.next_load_error = UnsupportedModelError("it needs more memory")
    assert isinstance(bench.take(0, A), bytes)
    bench.until(lambda: bench.runtime.next_load_error is None)
    bench.runtime.next_load_error = UnsupportedModelError("it needs more memory")
    assert isinstance(bench.take(1, A), bytes), "which tries no load"
    assert bench.take(0, B) == "OVERLOADED"
    bench.until(lambda: bench.runtime.next_load_error is None)
    assert bench.state() is StageState.READY
    assert isinstance(bench.take(2, A, ends=True), bytes)
    bench.until(lambda: len(bench.runtime.slices) == 2)
    assert isinstance(bench.take(0, C), bytes)


def test_a_stage_that_can_have_no_interpreter_at_all_is_given_up(make: MakeBench) -> None:
    bench = make(variable_filter())
    bench.runtime.next_load_error = UnsupportedModelError("it needs more memory")
    assert isinstance(bench.answer(bench.frame(None)), bytes)
    bench.until(lambda: bench.state() is StageState.FAILED)


def test_whoever_drops_what_is_not_here_leaves_nothing_behind(make: MakeBench) -> None:
    bench = make(gated_cell())
    whole = LayerRange(start=0, stop=len(bench.file.model.layers))
    interface = stage_interface(bench.file.model, whole)
    held = HeldStage(
        role=Role(plan=bench.plan, stage=0, interface=interface),
        status=bench.stages.document().stages[0],
        sessions=StageSessions(interface, SessionRoom(SessionLimits.of(CONFIG))),
        threads=1,
    )
    held.sessions.take(SessionStep(key=A, number=0), now_s=0.0)
    for key in (A, A, B):
        drop_session(held, key)
    assert held.work.qsize() == 1


def test_an_interpreter_that_dies_takes_its_session_alone(make: MakeBench) -> None:
    bench = make(variable_filter())
    bench.take(0, A)
    bench.until(lambda: len(bench.runtime.slices) == 2)
    bench.take(0, B)
    bench.until(lambda: len(bench.runtime.slices) == 3)
    bench.runtime.slices[0].die()
    assert bench.take(1, A) == "RUNTIME_CRASHED"
    assert bench.take(2, A) == "SESSION_LOST"
    assert isinstance(bench.take(1, B), bytes)


def test_letting_the_stage_go_ends_all_of_them(make: MakeBench) -> None:
    bench = make(variable_filter())
    bench.take(0, A)
    bench.take(0, B)
    bench.stages.unload(bench.key)
    bench.until(lambda: bench.alive() == 0)


def test_closing_ends_all_of_them(make: MakeBench) -> None:
    bench = make(variable_filter())
    bench.take(0, A)
    bench.until(lambda: len(bench.runtime.slices) == 2)
    bench.stages.close()
    assert bench.alive() == 0
