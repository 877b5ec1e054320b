"""The stages that this node holds: frames in and out, and how each is; what its thread does is elsewhere."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mesh.errors import StoreError
from mesh.fleet.reconcile import StageKey
from mesh.fleet.routes import Route, whole_route
from mesh.ids import ModelId, NodeId, PlanId
from mesh.model import stage_interface
from mesh.model.tensor import LayerRange
from mesh.node.held_stage import HeldStage, ModelFile, drop_session
from mesh.node.loop import Loop
from mesh.node.recent_runs import RecentRuns
from mesh.node.stage_thread import StageThread
from mesh.pipeline.stage import Parcel, Role, Work, accept
from mesh.pipeline.stage_sessions import SessionLimits, SessionRoom, StageSessions, State
from mesh.runtime.port import Runtime
from mesh.wire.documents import Plan, StagesDocument, StageState, StageStatus
from mesh.wire.frame import Frame, FrameKind

MAX_ERROR_CHARS = 1000


class Stages:
    """Loads and unloads stages and runs the frames that come for them."""

    def __init__(
        self,
        loop: Loop,
        runtime: Runtime,
        slices_dir: Path,
        *,
        me: NodeId,
        threads_of: Callable[[ModelId], int],
        emit: Callable[[Parcel], None],
        on_change: Callable[[], None],
        session_limits: SessionLimits,
        cores: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._loop = loop
        self._me = me
        self._room = SessionRoom(session_limits)
        self._runtime = runtime
        self._slices_dir = slices_dir
        self._threads_of = threads_of
        self._emit = emit
        self._cores = cores
        self._on_change = on_change
        self._held: dict[StageKey, HeldStage] = {}
        self._hopeless: dict[StageKey, StageStatus] = {}
        self._routes: Mapping[PlanId, Route] = {}
        self._file_numbers = itertools.count()
        self.late = 0

    @property
    def held(self) -> frozenset[StageKey]:
        return frozenset(self._held) | frozenset(self._hopeless)

    @property
    def in_session(self) -> frozenset[StageKey]:
        """The stages that open sessions pass: they stay as long as they may."""
        return frozenset(key for key, held in self._held.items() if len(held.sessions))

    def document(self) -> StagesDocument:
        statuses = [*self._hopeless.values(), *(held.status for held in self._held.values())]
        return StagesDocument(stages=tuple(sorted(statuses, key=lambda s: (s.plan_id, s.stage))))

    def clean(self) -> None:
        """Remove slices that an earlier life left behind. Raises: StoreError."""
        try:
            self._slices_dir.mkdir(parents=True, exist_ok=True)
            for left in self._slices_dir.glob("*.tflite"):
                left.unlink()
        except OSError as error:
            raise StoreError(f"{self._slices_dir} cannot be written: {error}") from error

    def load(self, plan: Plan, stage: int, file: ModelFile) -> None:
        """Begin to load a stage; its status tells how it goes. Raises: UnsupportedModelError."""
        planned = plan.stages[stage]
        interface = stage_interface(file.model, LayerRange(start=planned.start, stop=planned.stop))
        key = StageKey(plan_id=plan.plan_id, stage=stage)
        replica = planned.node_ids.index(self._me)
        threads = self._threads_of(plan.model_id)
        held = HeldStage(
            role=Role(plan=plan, stage=stage, replica=replica, interface=interface),
            status=_status(plan, stage, StageState.LOADING),
            sessions=StageSessions(interface, self._room),
            threads=threads,
            runs=RecentRuns(threads=threads, cores=self._cores),
        )
        self._held[key] = held
        # A stage that is let go and wanted again at once must not lose its file to the one before.
        number = next(self._file_numbers)
        StageThread(
            held=held,
            file=file,
            path=self._slices_dir / f"{key.plan_id}-{key.stage}-{number}.tflite",
            runtime=self._runtime,
            now_s=self._loop.now_s,
            route=lambda: self._routes.get(plan.plan_id) or whole_route(plan),
            reports=self,
        ).start()
        self._on_change()

    def use(self, routes: Iterable[Route]) -> None:
        """Pass by the replicas that cannot take requests; of other plans all can."""
        self._routes = {route.plan.plan_id: route for route in routes}

    def give_up(self, plan: Plan, stage: int, error: Exception) -> None:
        """Report a stage that cannot even begin to load."""
        key = StageKey(plan_id=plan.plan_id, stage=stage)
        status = _status(plan, stage, StageState.FAILED)
        self._hopeless[key] = replace(status, error=str(error)[:MAX_ERROR_CHARS])
        self._on_change()

    def unload(self, key: StageKey) -> None:
        """Let a stage go; what waits for it is refused and sent again under the live plan."""
        held = self._held.pop(key, None)
        if held is not None:
            held.sessions.clear()
            held.closed.set()
            held.work.put(None)
        if held is not None or self._hopeless.pop(key, None) is not None:
            self._on_change()

    def close(self) -> None:
        for key in list(self._held):
            held = self._held.pop(key)
            held.closed.set()
            held.work.put(None)
            held.own.close()
            if held.slice is not None:
                held.slice.close()

    def frame(self, frame: Frame) -> None:
        """An ACTIVATION, STEP or DROP frame arrived."""
        held = self._held.get(StageKey(plan_id=frame.plan_id, stage=frame.stage))
        if frame.kind is FrameKind.DROP:
            if held is not None and frame.step is not None:
                drop_session(held, frame.step.key)
            return
        usable = held is not None and held.status.state is not StageState.FAILED
        outcome = accept(
            held.role if held is not None and usable else None,
            frame,
            queued=held.queued if held is not None else 0,
            now_s=self._loop.now_s(),
            sessions=held.sessions if held is not None else None,
        )
        if isinstance(outcome, Parcel):
            self._emit(outcome)
        elif held is not None:
            held.queued += 1
            held.work.put(outcome)

    def expire_sessions(self) -> None:
        """Drop the sessions that nobody goes on with."""
        for held in self._held.values():
            for key in held.sessions.expire(now_s=self._loop.now_s()):
                held.work.put(key)

    # What the stages' threads report, on any thread

    def state(
        self, held: HeldStage, state: StageState, *, resident_bytes: int = 0, error: str = ""
    ) -> None:
        def report() -> None:
            held.status = replace(
                held.status,
                state=state,
                resident_bytes=resident_bytes,
                error=error[:MAX_ERROR_CHARS] or None,
            )
            if state is StageState.FAILED:
                held.sessions.clear()
            self._on_change()

        self._loop.post(report)

    def measured(self, held: HeldStage, compute_s: float) -> None:
        def report() -> None:
            held.status = replace(held.status, measured_compute_s=compute_s)
            self._on_change()

        self._loop.post(report)

    def finished(
        self, held: HeldStage, work: Work, parcel: Parcel | None, state: State = ()
    ) -> None:
        def finish() -> None:
            held.queued -= 1
            if work.frame.step is not None:
                is_kept = parcel is not None and parcel.frame.kind is not FrameKind.ERROR
                if is_kept and not work.frame.step.ends:
                    held.sessions.done(work.frame.step, state, now_s=self._loop.now_s())
                else:
                    drop_session(held, work.frame.step.key)
            if parcel is None:
                self.late += 1
            else:
                self._emit(parcel)

        self._loop.post(finish)

    def ended(self, rest: Callable[[], None]) -> None:
        self._loop.post(rest)


def _status(plan: Plan, stage: int, state: StageState) -> StageStatus:
    return StageStatus(
        plan_id=plan.plan_id,
        epoch=plan.epoch,
        model_id=plan.model_id,
        stage=stage,
        state=state,
    )
