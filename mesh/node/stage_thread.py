"""The thread of one held stage: cuts, loads and runs its slice, again after a death; where frames go is told it."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mesh.errors import ChildDiedError, ChildHungError, MeshError, StaleEpochError
from mesh.fleet.routes import Route
from mesh.model import slice_pieces, stage_memory
from mesh.model.tensor import LayerRange
from mesh.node.hang import load_deadline_s
from mesh.node.held_stage import (
    HeldStage,
    ModelFile,
    deadline_s,
    interpreter_of,
    is_whole,
    needs_fresh,
    note_death,
    owner_of,
    refill,
)
from mesh.node.recent_runs import Spent
from mesh.node.revival import Death, Quarantine, decide, remember
from mesh.pipeline.stage import (
    Parcel,
    Work,
    forward,
    is_late,
    next_receivers,
    refuse,
    state_after,
)
from mesh.pipeline.stage_sessions import State
from mesh.runtime.port import LoadedSlice, Runtime
from mesh.wire.documents import StageState

_log = logging.getLogger("mesh.stages")


class Reports(Protocol):
    """What a stage's thread tells the loop, which hears it later."""

    def state(
        self, held: HeldStage, state: StageState, *, resident_bytes: int = 0, error: str = ""
    ) -> None:
        """How it is with the stage."""

    def finished(
        self, held: HeldStage, work: Work, parcel: Parcel | None, state: State = ()
    ) -> None:
        """A frame is done: what goes on, None for nothing, and the session's state after it."""

    def measured(self, held: HeldStage, compute_s: float) -> None:
        """What a run usually takes now."""

    def ended(self, rest: Callable[[], None]) -> None:
        """The thread is over; `rest` is to be done once all before it was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageThread:
    """Runs a held stage until it is let go or given up. `path` is where its slice may lie."""

    held: HeldStage
    file: ModelFile
    path: Path
    runtime: Runtime
    now_s: Callable[[], float]
    route: Callable[[], Route]
    reports: Reports

    def start(self) -> None:
        """Begin, on a thread of its own."""
        name = f"stage-{self.held.role.stage}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        held = self.held
        try:
            self._live()
        except Exception as error:  # noqa: BLE001 - a stage without a thread must not look ready
            _log.exception("stage %d broke down", held.role.stage)
            fault = f"a fault in the node ({type(error).__name__}): its log has the details"
            self.reports.state(held, StageState.FAILED, error=fault)
        finally:
            held.own.close()
            if held.slice is not None:
                held.slice.close()
            with contextlib.suppress(OSError):  # `clean` removes it at the next start
                self.path.unlink(missing_ok=True)
            # After the report that it is over: what comes until then still joins the queue.
            self.reports.ended(self._refuse_rest)

    def _live(self) -> None:
        """Load and run, again after a death, until the stage is let go or given up."""
        given_up: str | None = None
        while given_up is None and not self.held.closed.is_set():
            given_up = self._live_once()
        if given_up is not None:
            self.reports.state(self.held, StageState.FAILED, error=given_up)

    def _live_once(self) -> str | None:
        """One life of the interpreter; returns why there will be no other one."""
        held = self.held
        try:
            held.slice = self._open()
            self.reports.state(held, StageState.READY, resident_bytes=held.slice.resident_bytes)
            self._work_off()
        except ChildDiedError as error:  # while it was loaded: as little a verdict as later
            note_death(held, error)
        except (MeshError, OSError) as error:
            return str(error)
        if held.slice is not None:
            held.slice.close()
        return None if held.closed.is_set() else self._after_death()

    def _after_death(self) -> str | None:
        """Wait for the next life; or the reason why there is none."""
        held = self.held
        death = Death(at_s=self.now_s(), cause=held.died_of)
        held.deaths = remember(held.deaths, death)
        what_follows = decide(held.deaths)
        if isinstance(what_follows, Quarantine):
            return what_follows.reason
        held.closed.wait(what_follows.wait_s)
        return None

    def _open(self) -> LoadedSlice:
        held, role, model = self.held, self.held.role, self.file.model
        planned = role.plan.stages[role.stage]
        layers = LayerRange(start=planned.start, stop=planned.stop)
        source = self.file.path
        if not is_whole(role.interface, model):
            if not self.path.exists():
                with self.path.open("wb") as slice_file:
                    slice_file.writelines(slice_pieces(model, layers))
            source = self.path
        held.slice_bytes = source.stat().st_size
        predicted = stage_memory(model, layers, runtime=self.runtime.info().name)
        return self.runtime.load(
            source,
            inputs=role.interface.consumed,
            outputs=role.interface.produced,
            threads=held.threads,
            timeout_s=load_deadline_s(held.slice_bytes),
            memory_bytes=predicted.total_bytes,
        )

    def _work_off(self) -> None:
        """Run frames until the stage is let go or its interpreter dies."""
        held = self.held
        while (work := held.work.get()) is not None:
            if not isinstance(work, Work):
                held.own.drop(work)
            elif not self._run(work):
                self.reports.state(held, StageState.LOADING)
                return
            # Without a slice, somebody has it for himself.
            fresh = refill(held, self._open) if held.slice is None and needs_fresh(work) else None
            if fresh is not None:
                resident_bytes = fresh.resident_bytes + held.own.resident_bytes
                self.reports.state(held, StageState.READY, resident_bytes=resident_bytes)
        held.closed.set()

    def _run(self, work: Work) -> bool:
        """Run one frame; False when the interpreter is gone."""
        held = self.held
        try:
            self.reports.finished(held, work, *self._compute(work))
        except MeshError as error:
            self.reports.finished(held, work, refuse(work.frame, error))
            if isinstance(error, (ChildDiedError, ChildHungError)):
                note_death(held, error)
                return False
        finally:
            if work.frame.step is None:
                held.own.drop(owner_of(work))
        return True

    def _compute(self, work: Work) -> tuple[Parcel | None, State]:
        """What goes on, None for what came too late, and the session's state after it."""
        held = self.held
        if is_late(work, now_s=self.now_s()):
            return None, ()
        loaded = interpreter_of(held, work)
        began_s, used_s = time.perf_counter(), time.thread_time()
        done = loaded.invoke(work.inputs, timeout_s=deadline_s(held))
        spent = Spent(
            clock_s=time.perf_counter() - began_s,
            processor_s=done.processor_s and done.processor_s + time.thread_time() - used_s,
        )
        now_s = self.now_s()
        usual_s = held.runs.add(done.compute_s, now_s=now_s, spent=spent)
        if usual_s is not None:
            self.reports.measured(held, usual_s)
        parcel = forward(
            work,
            done.outputs,
            compute_s=done.compute_s,
            now_s=now_s,
            receivers=next_receivers(held.role, work.frame, self.route(), held.turns),
        )
        return parcel, state_after(work, done.outputs)

    def _refuse_rest(self) -> None:
        """Answer what came while the stage was going."""
        while True:
            try:
                work = self.held.work.get_nowait()
            except queue.Empty:
                return
            if isinstance(work, Work):
                # Not a death: a request that only waited here must not count as its cause.
                error = StaleEpochError("the stage was let go")
                self.reports.finished(self.held, work, refuse(work.frame, error))
