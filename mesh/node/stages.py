"""The stages that this node holds: one thread each cuts, loads and runs its slice; frames in and out."""

import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.errors import ChildDiedError, ChildHungError, MeshError, StaleEpochError, StoreError
from mesh.fleet.reconcile import StageKey
from mesh.ids import ModelId
from mesh.model import Model, slice_pieces, stage_interface, stage_memory
from mesh.model.tensor import LayerRange
from mesh.node.hang import load_deadline_s
from mesh.node.held_stage import (
    HeldStage,
    deadline_s,
    drop_session,
    interpreter_of,
    is_whole,
    needs_fresh,
    note_death,
    owner_of,
    refill,
)
from mesh.node.loop import Loop
from mesh.node.revival import Death, Quarantine, decide, remember
from mesh.pipeline.stage import Parcel, Role, Work, accept, forward, is_late, refuse, state_after
from mesh.pipeline.stage_sessions import SessionLimits, SessionRoom, StageSessions, State
from mesh.runtime.port import LoadedSlice, Runtime
from mesh.wire.documents import Plan, StagesDocument, StageState, StageStatus
from mesh.wire.frame import Frame, FrameKind

_log = logging.getLogger("mesh.stages")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on this node's disk, read."""

    path: Path
    model: Model


class Stages:
    """Loads and unloads stages and runs the frames that come for them."""

    def __init__(
        self,
        loop: Loop,
        runtime: Runtime,
        slices_dir: Path,
        *,
        threads_of: Callable[[ModelId], int],
        emit: Callable[[Parcel], None],
        on_change: Callable[[], None],
        session_limits: SessionLimits,
    ) -> None:
        self._loop = loop
        self._room = SessionRoom(session_limits)
        self._runtime = runtime
        self._slices_dir = slices_dir
        self._threads_of = threads_of
        self._emit = emit
        self._on_change = on_change
        self._held: dict[StageKey, HeldStage] = {}
        self._hopeless: dict[StageKey, StageStatus] = {}
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
        held = HeldStage(
            role=Role(plan=plan, stage=stage, interface=interface),
            status=_status(plan, stage, StageState.LOADING),
            sessions=StageSessions(interface, self._room),
            threads=self._threads_of(plan.model_id),
        )
        self._held[key] = held
        thread = threading.Thread(
            target=self._serve, args=(key, held, file), name=f"stage-{stage}", daemon=True
        )
        thread.start()
        self._on_change()

    def give_up(self, plan: Plan, stage: int, error: Exception) -> None:
        """Report a stage that cannot even begin to load."""
        key = StageKey(plan_id=plan.plan_id, stage=stage)
        status = _status(plan, stage, StageState.FAILED)
        self._hopeless[key] = replace(status, error=str(error)[:1000])
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

    # The rest runs on the stage's own thread and reports through the loop.

    def _serve(self, key: StageKey, held: HeldStage, file: ModelFile) -> None:
        # A stage that is let go and wanted again at once must not lose its file to the one before.
        number = next(self._file_numbers)
        path = self._slices_dir / f"{key.plan_id}-{key.stage}-{number}.tflite"
        try:
            self._live(held, file, path)
        except Exception as error:  # noqa: BLE001 - a stage without a thread must not look ready
            _log.exception("stage %d broke down", key.stage)
            fault = f"a fault in the node ({type(error).__name__}): its log has the details"
            self._report(held, StageState.FAILED, error=fault)
        finally:
            held.own.close()
            if held.slice is not None:
                held.slice.close()
            with contextlib.suppress(OSError):  # `clean` removes it at the next start
                path.unlink(missing_ok=True)
            # After the report that it is over: what comes until then still joins the queue.
            self._loop.post(lambda: self._refuse_rest(held))

    def _live(self, held: HeldStage, file: ModelFile, path: Path) -> None:
        """Load and run, again after a death, until the stage is let go or given up."""
        given_up: str | None = None
        while given_up is None and not held.closed.is_set():
            given_up = self._live_once(held, file, path)
        if given_up is not None:
            self._report(held, StageState.FAILED, error=given_up)

    def _live_once(self, held: HeldStage, file: ModelFile, path: Path) -> str | None:
        """One life of the interpreter; returns why there will be no other one."""
        try:
            held.slice = self._open(held, file, path)
            self._report(held, StageState.READY, resident_bytes=held.slice.resident_bytes)
            self._work_off(held, lambda: self._open(held, file, path))
        except ChildDiedError as error:  # while it was loaded: as little a verdict as later
            note_death(held, error)
        except (MeshError, OSError) as error:
            return str(error)
        if held.slice is not None:
            held.slice.close()
        return None if held.closed.is_set() else self._after_death(held)

    def _after_death(self, held: HeldStage) -> str | None:
        """Wait for the next life; or the reason why there is none."""
        death = Death(at_s=self._loop.now_s(), cause=held.died_of)
        held.deaths = remember(held.deaths, death)
        what_follows = decide(held.deaths)
        if isinstance(what_follows, Quarantine):
            return what_follows.reason
        held.closed.wait(what_follows.wait_s)
        return None

    def _open(self, held: HeldStage, file: ModelFile, path: Path) -> LoadedSlice:
        role = held.role
        planned = role.plan.stages[role.stage]
        layers = LayerRange(start=planned.start, stop=planned.stop)
        source = file.path
        if not is_whole(role.interface, file.model):
            if not path.exists():
                with path.open("wb") as slice_file:
                    slice_file.writelines(slice_pieces(file.model, layers))
            source = path
        held.slice_bytes = source.stat().st_size
        predicted = stage_memory(file.model, layers, runtime=self._runtime.info().name)
        return self._runtime.load(
            source,
            inputs=role.interface.consumed,
            outputs=role.interface.produced,
            threads=held.threads,
            timeout_s=load_deadline_s(held.slice_bytes),
            memory_bytes=predicted.total_bytes,
        )

    def _work_off(self, held: HeldStage, load: Callable[[], LoadedSlice]) -> None:
        """Run frames until the stage is let go or its interpreter dies."""
        while (work := held.work.get()) is not None:
            if not isinstance(work, Work):
                held.own.drop(work)
            elif not self._run(held, work):
                self._report(held, StageState.LOADING)
                return
            # Without a slice, somebody has it for himself.
            fresh = refill(held, load) if held.slice is None and needs_fresh(work) else None
            if fresh is not None:
                resident_bytes = fresh.resident_bytes + held.own.resident_bytes
                self._report(held, StageState.READY, resident_bytes=resident_bytes)
        held.closed.set()

    def _run(self, held: HeldStage, work: Work) -> bool:
        """Run one frame; False when the interpreter is gone."""
        try:
            self._finish(held, work, *self._compute(held, work))
        except MeshError as error:
            self._finish(held, work, refuse(work.frame, error))
            if isinstance(error, (ChildDiedError, ChildHungError)):
                note_death(held, error)
                return False
        finally:
            if work.frame.step is None:
                held.own.drop(owner_of(work))
        return True

    def _compute(self, held: HeldStage, work: Work) -> tuple[Parcel | None, State]:
        """What goes on, None for what came too late, and the session's state after it."""
        if is_late(work, now_s=self._loop.now_s()):
            return None, ()
        loaded = interpreter_of(held, work)
        done = loaded.invoke(work.inputs, timeout_s=deadline_s(held))
        held.runs_s.append(done.compute_s)
        now_s = self._loop.now_s()
        parcel = forward(work, done.outputs, compute_s=done.compute_s, now_s=now_s)
        return parcel, state_after(work, done.outputs)

    def _finish(
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

    def _refuse_rest(self, held: HeldStage) -> None:
        """Answer what came while the stage was going."""
        while True:
            try:
                work = held.work.get_nowait()
            except queue.Empty:
                return
            if isinstance(work, Work):
                # Not a death: a request that only waited here must not count as its cause.
                self._finish(
                    held, work, refuse(work.frame, StaleEpochError("the stage was let go"))
                )

    def _report(
        self,
        held: HeldStage,
        state: StageState,
        *,
        resident_bytes: int = 0,
        error: str | None = None,
    ) -> None:
        def report() -> None:
            held.status = replace(
                held.status,
                state=state,
                resident_bytes=resident_bytes,
                error=error[:1000] if error else None,
            )
            if state is StageState.FAILED:
                held.sessions.clear()
            self._on_change()

        self._loop.post(report)


def _status(plan: Plan, stage: int, state: StageState) -> StageStatus:
    return StageStatus(
        plan_id=plan.plan_id,
        epoch=plan.epoch,
        model_id=plan.model_id,
        stage=stage,
        state=state,
    )
