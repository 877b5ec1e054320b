"""The stages that this node holds: one thread each cuts, loads and runs its slice; frames in and out."""

import contextlib
import itertools
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mesh.errors import ChildDiedError, ChildHungError, MeshError, StaleEpochError, StoreError
from mesh.fleet.reconcile import StageKey
from mesh.model import Model, slice_pieces, stage_interface
from mesh.model.tensor import LayerRange
from mesh.node.loop import Loop
from mesh.pipeline.stage import Parcel, Role, Work, accept, forward, is_late, refuse
from mesh.runtime.port import LoadedSlice, Runtime
from mesh.wire.documents import Plan, StagesDocument, StageState, StageStatus
from mesh.wire.frame import Frame

_log = logging.getLogger("mesh.stages")

MAX_RESTARTS = 3
RESTART_WINDOW_S = 300.0
"""An interpreter that dies more than MAX_RESTARTS times within this time is given up."""
LOAD_TIMEOUT_S = 60.0
INVOKE_TIMEOUT_S = 10.0
INVOKE_TIMEOUT_FACTOR = 20.0
"""An invoke counts as hung after INVOKE_TIMEOUT_S plus so many times the predicted time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on this node's disk, read."""

    path: Path
    model: Model


@dataclass(slots=True, kw_only=True)
class _Held:
    """A stage and its thread. Only the loop's thread writes `status`."""

    role: Role
    status: StageStatus
    work: "queue.SimpleQueue[Work | None]" = field(default_factory=queue.SimpleQueue)
    queued: int = 0
    slice: LoadedSlice | None = None
    deaths_s: "deque[float]" = field(default_factory=lambda: deque(maxlen=MAX_RESTARTS + 1))
    closed: threading.Event = field(default_factory=threading.Event)


class Stages:
    """Loads and unloads stages and runs the frames that come for them."""

    def __init__(
        self,
        loop: Loop,
        runtime: Runtime,
        slices_dir: Path,
        *,
        threads: int,
        emit: Callable[[Parcel], None],
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._runtime = runtime
        self._slices_dir = slices_dir
        self._threads = threads
        self._emit = emit
        self._on_change = on_change
        self._held: dict[StageKey, _Held] = {}
        self._hopeless: dict[StageKey, StageStatus] = {}
        self._file_numbers = itertools.count()
        self.late = 0

    @property
    def held(self) -> frozenset[StageKey]:
        return frozenset(self._held) | frozenset(self._hopeless)

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
        held = _Held(
            role=Role(plan=plan, stage=stage, interface=interface),
            status=_status(plan, stage, StageState.LOADING),
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
            held.closed.set()
            held.work.put(None)
        if held is not None or self._hopeless.pop(key, None) is not None:
            self._on_change()

    def close(self) -> None:
        for key in list(self._held):
            held = self._held.pop(key)
            held.closed.set()
            held.work.put(None)
            if held.slice is not None:
                held.slice.close()

    def frame(self, frame: Frame) -> None:
        """An ACTIVATION frame arrived."""
        held = self._held.get(StageKey(plan_id=frame.plan_id, stage=frame.stage))
        usable = held is not None and held.status.state is not StageState.FAILED
        outcome = accept(
            held.role if held is not None and usable else None,
            frame,
            queued=held.queued if held is not None else 0,
            now_s=self._loop.now_s(),
        )
        if isinstance(outcome, Parcel):
            self._emit(outcome)
        elif held is not None:
            held.queued += 1
            held.work.put(outcome)

    # The rest runs on the stage's own thread and reports through the loop.

    def _serve(self, key: StageKey, held: _Held, file: ModelFile) -> None:
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
            if held.slice is not None:
                held.slice.close()
            with contextlib.suppress(OSError):  # `clean` removes it at the next start
                path.unlink(missing_ok=True)
            self._refuse_rest(held)

    def _live(self, held: _Held, file: ModelFile, path: Path) -> None:
        """Load and run, again after a death, until the stage is let go or given up."""
        given_up: str | None = None
        while given_up is None and not held.closed.is_set():
            given_up = self._live_once(held, file, path)
        if given_up is not None:
            self._report(held, StageState.FAILED, error=given_up)

    def _live_once(self, held: _Held, file: ModelFile, path: Path) -> str | None:
        """One life of the interpreter; returns why there will be no other one."""
        try:
            held.slice = self._open(held.role, file, path)
            self._report(held, StageState.READY, resident_bytes=held.slice.resident_bytes)
            self._work_off(held)
        except ChildDiedError as error:  # while it was loaded: as little a verdict as later
            _log.warning("stage %d: %s", held.role.stage, error)
        except (MeshError, OSError) as error:
            return str(error)
        if held.slice is not None:
            held.slice.close()
        held.deaths_s.append(self._loop.now_s())
        return "its interpreter died again and again" if _dies_too_often(held.deaths_s) else None

    def _open(self, role: Role, file: ModelFile, path: Path) -> LoadedSlice:
        planned = role.plan.stages[role.stage]
        layers = LayerRange(start=planned.start, stop=planned.stop)
        source = file.path
        if len(layers) < len(file.model.layers):
            if not path.exists():
                with path.open("wb") as slice_file:
                    slice_file.writelines(slice_pieces(file.model, layers))
            source = path
        return self._runtime.load(
            source,
            inputs=role.interface.consumed,
            outputs=role.interface.produced,
            threads=self._threads,
            timeout_s=LOAD_TIMEOUT_S,
        )

    def _work_off(self, held: _Held) -> None:
        """Run frames until the stage is let go or its interpreter dies."""
        while (work := held.work.get()) is not None:
            if not self._run(held, work):
                self._report(held, StageState.LOADING)
                return
        held.closed.set()

    def _run(self, held: _Held, work: Work) -> bool:
        """Run one frame; False when the interpreter is gone."""
        try:
            self._finish(held, self._compute(held, work))
        except MeshError as error:
            self._finish(held, refuse(work.frame, error))
            if isinstance(error, (ChildDiedError, ChildHungError)):
                _log.warning("stage %d: %s", held.role.stage, error)
                return False
        return True

    def _compute(self, held: _Held, work: Work) -> Parcel | None:
        if held.slice is None:
            raise ChildDiedError("the stage has no interpreter")
        if is_late(work, now_s=self._loop.now_s()):
            return None
        expected_s = held.role.plan.stages[held.role.stage].compute_s
        done = held.slice.invoke(
            work.inputs, timeout_s=INVOKE_TIMEOUT_S + INVOKE_TIMEOUT_FACTOR * expected_s
        )
        return forward(work, done.outputs, compute_s=done.compute_s, now_s=self._loop.now_s())

    def _finish(self, held: _Held, parcel: Parcel | None) -> None:
        def finish() -> None:
            held.queued -= 1
            if parcel is None:
                self.late += 1
            else:
                self._emit(parcel)

        self._loop.post(finish)

    def _refuse_rest(self, held: _Held) -> None:
        """Answer what came while the stage was going."""
        while True:
            try:
                work = held.work.get_nowait()
            except queue.Empty:
                return
            if work is not None:
                # Not a death: a request that only waited here must not count as its cause.
                self._finish(held, refuse(work.frame, StaleEpochError("the stage was let go")))

    def _report(
        self, held: _Held, state: StageState, *, resident_bytes: int = 0, error: str | None = None
    ) -> None:
        def report() -> None:
            held.status = replace(
                held.status,
                state=state,
                resident_bytes=resident_bytes,
                error=error[:1000] if error else None,
            )
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


def _dies_too_often(deaths_s: "deque[float]") -> bool:
    return len(deaths_s) > MAX_RESTARTS and deaths_s[-1] - deaths_s[0] < RESTART_WINDOW_S
