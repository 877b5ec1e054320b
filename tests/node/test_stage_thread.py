"""A stage's thread with a fake runtime; what it tells the loop is written down as it comes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pytest

from mesh.config import Config
from mesh.errors import StaleEpochError
from mesh.fleet.routes import Route, whole_route
from mesh.ids import NodeId, RequestKey
from mesh.model import cut_points, stage_interface
from mesh.model.tensor import LayerRange
from mesh.node.held_stage import HeldStage, ModelFile
from mesh.node.recent_runs import FEWEST_RUNS
from mesh.node.stage_thread import StageThread
from mesh.pipeline.stage import Parcel, Role, Work
from mesh.pipeline.stage_sessions import SessionLimits, SessionRoom, StageSessions, State
from mesh.testing.documents import sample_plan, sample_stage
from mesh.testing.runtime import FakeRuntime
from mesh.wire import refusal
from mesh.wire.documents import StageState, StageStatus
from mesh.wire.frame import Frame, FrameKind

A, B, C, GATEWAY = (NodeId(digit * 16) for digit in "abc9")
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Told:
    """The loop's side: everything that is reported, in order."""

    events: "SimpleQueue[tuple[str, object]]" = field(default_factory=SimpleQueue)

    def state(
        self, held: HeldStage, state: StageState, *, resident_bytes: int = 0, error: str = ""
    ) -> None:
        self.events.put(("state", error or state))

    def finished(
        self, held: HeldStage, work: Work, parcel: Parcel | None, state: State = ()
    ) -> None:
        self.events.put(("finished", parcel))

    def measured(self, held: HeldStage, compute_s: float) -> None:
        self.events.put(("measured", compute_s))

    def ended(self, rest: Callable[[], None]) -> None:
        self.events.put(("ended", rest))

    def next(self) -> tuple[str, object]:
        return self.events.get(timeout=TIMEOUT_S)


@dataclass(slots=True)
class Bench:
    """The first of two stages of a small model; the second one has two replicas."""

    file: ModelFile
    folder: Path
    runtime: FakeRuntime = field(default_factory=lambda: FakeRuntime(compute_s=0.02))
    told: Told = field(default_factory=Told)
    now_s: float = 0.0
    held: HeldStage = field(init=False)
    route: Route = field(init=False)

    def __post_init__(self) -> None:
        cut, end = cut_points(self.file.model)[0].layer, len(self.file.model.layers)
        plan = sample_plan(
            sample_stage(A, start=0, stop=cut), sample_stage(B, C, start=cut, stop=end)
        )
        interface = stage_interface(self.file.model, LayerRange(start=0, stop=cut))
        self.route = whole_route(plan)
        self.held = HeldStage(
            role=Role(plan=plan, stage=0, interface=interface),
            status=StageStatus(
                plan_id=plan.plan_id,
                epoch=plan.epoch,
                model_id=plan.model_id,
                stage=0,
                state=StageState.LOADING,
            ),
            sessions=StageSessions(interface, SessionRoom(SessionLimits.of(Config()))),
            threads=1,
        )

    def start(self) -> None:
        StageThread(
            held=self.held,
            file=self.file,
            path=self.folder / "slice.tflite",
            runtime=self.runtime,
            now_s=lambda: self.now_s,
            route=lambda: self.route,
            reports=self.told,
        ).start()
        assert self.told.next() == ("state", StageState.READY)

    def put(self) -> None:
        frame = Frame(
            kind=FrameKind.ACTIVATION,
            request_key=RequestKey(bytes(16)),
            sender=GATEWAY,
            time_left_s=1000.0,
        )
        (spec,) = self.held.role.interface.consumed
        inputs = (bytes(spec.size_bytes),)
        self.held.work.put(
            Work(role=self.held.role, frame=frame, arrived_s=self.now_s, inputs=inputs)
        )

    def computed(self) -> Parcel:
        """What comes of one more frame, past anything else that is told."""
        self.put()
        while True:
            kind, what = self.told.next()
            if kind == "finished":
                assert isinstance(what, Parcel)
                return what

    def end(self) -> None:
        self.held.closed.set()
        self.held.work.put(None)


@pytest.fixture
def bench(model_file: ModelFile, tmp_path: Path) -> Bench:
    return Bench(file=model_file, folder=tmp_path)


def test_replicas_of_the_next_stage_take_turns(bench: Bench) -> None:
    bench.start()
    parcels = [bench.computed() for _ in range(4)]
    assert [parcel.node_id for parcel in parcels] == [B, C, B, C]
    assert [parcel.others for parcel in parcels] == [(C,), (B,), (C,), (B,)]
    bench.end()


def test_a_replica_that_is_passed_by_gets_nothing_from_the_next_frame_on(bench: Bench) -> None:
    bench.start()
    assert bench.computed().node_id == B
    bench.route = Route(plan=bench.route.plan, usable=(frozenset({A}), frozenset({B})))
    parcels = [bench.computed() for _ in range(3)]
    assert {(parcel.node_id, parcel.others) for parcel in parcels} == {(B, ())}
    bench.end()


def test_what_a_run_usually_takes_is_told(bench: Bench) -> None:
    bench.start()
    for _ in range(FEWEST_RUNS):
        bench.put()
    told = [bench.told.next() for _ in range(FEWEST_RUNS + 1)]
    (usual_s,) = (what for kind, what in told if kind == "measured")
    assert isinstance(usual_s, float)
    assert 0 < usual_s < TIMEOUT_S
    bench.end()


def test_a_stage_that_is_let_go_removes_its_file_and_refuses_what_still_comes(
    bench: Bench,
) -> None:
    bench.start()
    assert [one.name for one in bench.folder.glob("slice*")] == ["slice.tflite"]
    bench.end()
    kind, rest = bench.told.next()
    assert (kind, list(bench.folder.glob("slice*"))) == ("ended", [])
    assert bench.runtime.slices[0].resident_bytes == 0
    bench.put()
    assert callable(rest)
    rest()
    _, parcel = bench.told.next()
    assert isinstance(parcel, Parcel)
    assert refusal.decode(parcel.frame.error).code == StaleEpochError.code
