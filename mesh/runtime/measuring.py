"""Times real slices of a model with the real runtime: cut, load, run repeatedly, throw away."""

import contextlib
import functools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mesh.device.benchmark import OnProgress, joined, measure_capability
from mesh.device.capability import Capability, Conditions, Refusal
from mesh.device.chunks import Chunk, SliceTiming, able_chunks
from mesh.device.effort import layer_efforts
from mesh.device.threads import best_threads
from mesh.errors import DeviceError, UnsupportedModelError
from mesh.model.cuts import cut_points, stage_interface
from mesh.model.footprint import stage_memory
from mesh.model.model import Model
from mesh.model.slicer import slice_content, slice_pieces
from mesh.model.tensor import LayerRange, StageInterface
from mesh.runtime.golden import golden_inputs
from mesh.runtime.port import LoadedSlice, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long one slice is timed: until `budget_s` is used, but within the numbers of runs.

    Of the sorted runs the one at `quantile` counts. The lower quartile is what a run takes when
    nobody disturbs it: neighbours on the cores only ever add time. Of processor time, to which they
    hardly add, the median counts. Before each run is a pause: requests find no warm caches either,
    which costs 7 % of a run's processor time.
    """

    budget_s: float = 0.1
    min_runs: int = 5
    max_runs: int = 200
    warm_up_runs: int = 2
    timeout_s: float = 60.0
    quantile: float = 0.25
    pause_s: float = 0.01


THREAD_TRIAL = Effort(
    budget_s=0.15, min_runs=2, max_runs=50, warm_up_runs=1, quantile=0.5, pause_s=0.0
)
"""How long each number of threads is tried: 0.6 s in all where a run is short. Here disturbance counts."""
TRIED_CHUNKS = 3
"""How many chunks threads are tried on, should the heavier ones be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run by the clock: inside the interpreter and for its caller; and core-seconds of both processes."""

    compute_s: float
    call_s: float
    processor_s: float
    calling_s: float


def _by_clock(runs: Sequence[_Run], quantile: float) -> SliceTiming:
    place = int(quantile * len(runs))
    return SliceTiming(
        compute_s=sorted(run.compute_s for run in runs)[place],
        call_s=sorted(run.call_s for run in runs)[place],
    )


def _by_processor(runs: Sequence[_Run]) -> SliceTiming:
    """What a single thread takes on a processor of its own.

    By the clock it would also wait for neighbours, and for its share under a CPU quota, which the
    planner counts by itself.
    """
    processor_s = statistics.median(run.processor_s for run in runs)
    calling_s = statistics.median(run.calling_s for run in runs)
    return SliceTiming(compute_s=processor_s, call_s=processor_s + calling_s)


class SliceTimer:
    """A `TimeSlice` on a runtime; slice files live in `folder` while they are timed."""

    def __init__(
        self,
        model: Model,
        runtime: Runtime,
        *,
        threads: int,
        folder: Path,
        effort: Effort | None = None,
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._threads = threads
        self._folder = folder
        self._effort = effort or Effort()

    def __call__(self, layers: LayerRange) -> SliceTiming:
        """Raises: what the runtime raises, DeviceError when the slice cannot be written."""
        path = self._write(layers)
        try:
            interface = stage_interface(self._model, layers)
            loaded = self._load(path, interface, memory_bytes=self._predicted_bytes(layers))
            try:
                return self._time(loaded, golden_inputs(interface.consumed))
            finally:
                loaded.close()
        finally:
            path.unlink(missing_ok=True)

    def _predicted_bytes(self, layers: LayerRange) -> int:
        runtime = self._runtime.info().name
        return stage_memory(self._model, layers, runtime=runtime).total_bytes

    def _load(
        self, path: Path, interface: StageInterface, *, memory_bytes: int | None = None
    ) -> LoadedSlice:
        try:
            return self._runtime.load(
                path,
                inputs=interface.consumed,
                outputs=interface.produced,
                threads=self._threads,
                timeout_s=self._effort.timeout_s,
                memory_bytes=memory_bytes,
            )
        except UnsupportedModelError as error:
            # A name drawn for this file tells nobody anything, and makes equal reasons differ.
            raise UnsupportedModelError(str(error).replace(path.name, "it")) from error

    def _write(self, layers: LayerRange) -> Path:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=self._folder, prefix="measure-", suffix=".tflite", delete=False
            ) as file:
                file.writelines(slice_pieces(self._model, layers))
                return Path(file.name)
        except OSError as error:
            raise DeviceError(f"a slice cannot be written to {self._folder}: {error}") from error

    def _time(self, loaded: LoadedSlice, inputs: Sequence[bytes]) -> SliceTiming:
        effort = self._effort
        for _ in range(effort.warm_up_runs):
            loaded.invoke(inputs, timeout_s=effort.timeout_s)
        started_s = time.perf_counter()
        runs: list[_Run] = []
        while len(runs) < effort.min_runs or (
            len(runs) < effort.max_runs and time.perf_counter() - started_s < effort.budget_s
        ):
            time.sleep(effort.pause_s)
            before_s, used_s = time.perf_counter(), time.thread_time()
            done = loaded.invoke(inputs, timeout_s=effort.timeout_s)
            runs.append(
                _Run(
                    compute_s=done.compute_s,
                    call_s=time.perf_counter() - before_s,
                    processor_s=done.processor_s,
                    calling_s=time.thread_time() - used_s,
                )
            )
        if self._threads == 1 and all(run.processor_s > 0 for run in runs):
            return _by_processor(runs)
        return _by_clock(runs, effort.quantile)


def all_boundaries(model: Model) -> tuple[int, ...]:
    """Every position where a plan may cut, with 0 and the number of layers."""
    return (0, *(cut.layer for cut in cut_points(model)), len(model.layers))


def measure_model(
    model: Model,
    runtime: Runtime,
    conditions: Conditions,
    *,
    boundaries: Sequence[int],
    folder: Path,
    effort: Effort | None = None,
    on_progress: OnProgress | None = None,
) -> Capability:
    """Measure the model here and now; takes some seconds and a core.

    Layers with operators that the runtime does not know are not tried; what else it refuses is
    found out. Raises: what the runtime raises, UnsupportedModelError when it can load nothing of
    the model, DeviceError when slices cannot be written.
    """
    refusals = version_refusals(model, runtime, boundaries)
    efforts = layer_efforts(model)
    chunks = able_chunks(boundaries, efforts, [(one.start, one.stop) for one in refusals])
    if not chunks:
        raise UnsupportedModelError(refusals[0].reason)
    heaviest = sorted(chunks, key=lambda chunk: -sum(efforts[slice(*chunk)]))
    threads = conditions.threads or measured_threads(
        model, runtime, heaviest, most=conditions.most_threads, folder=folder
    )
    timer = SliceTimer(model, runtime, threads=threads, folder=folder, effort=effort)
    return measure_capability(
        conditions,
        threads=threads,
        boundaries=boundaries,
        efforts=efforts,
        time_slice=timer,
        refusals=refusals,
        on_progress=on_progress,
    )


def measured_threads(
    model: Model, runtime: Runtime, heaviest: Sequence[Chunk], *, most: int, folder: Path
) -> int:
    """How many threads serve the first of these chunks best that can be loaded; 1 where none can.

    Raises: what the runtime raises, DeviceError when slices cannot be written.
    """

    def time_of(layers: LayerRange, threads: int) -> float:
        timer = SliceTimer(model, runtime, threads=threads, folder=folder, effort=THREAD_TRIAL)
        return timer(layers).compute_s

    for start, stop in heaviest[:TRIED_CHUNKS] if most > 1 else ():
        layers = LayerRange(start=start, stop=stop)
        with contextlib.suppress(UnsupportedModelError):
            return best_threads(most, functools.partial(time_of, layers))
    return 1


def version_refusals(
    model: Model, runtime: Runtime, boundaries: Sequence[int]
) -> tuple[Refusal, ...]:
    """The pieces with operators that the runtime does not know, with what it lacks."""
    versions, info = runtime.operator_versions(), runtime.info()
    if not versions.lacking((*model.layers, *model.copied)):
        return ()
    refusals = []
    for start, stop in pairwise(boundaries):
        operators = slice_content(model, LayerRange(start=start, stop=stop)).operators
        missing = versions.lacking(operators)
        if missing:
            reason = f"{info.name} {info.version} lacks {missing}"
            refusals.append(Refusal.of(start, stop, reason, lasts=True))
    return joined(refusals)
