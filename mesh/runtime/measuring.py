"""Times real slices of a model with the real runtime: cut, load, run repeatedly, throw away."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.device.benchmark import OnProgress, measure_capability
from mesh.device.capability import Capability, Conditions
from mesh.device.chunks import SliceTiming
from mesh.device.effort import layer_efforts
from mesh.errors import DeviceError
from mesh.model.cuts import cut_points, stage_interface
from mesh.model.model import Model
from mesh.model.slicer import slice_pieces
from mesh.model.tensor import LayerRange
from mesh.runtime.golden import golden_inputs
from mesh.runtime.port import LoadedSlice, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long one slice is timed: until `budget_s` is used, but within the numbers of runs."""

    budget_s: float = 0.1
    min_runs: int = 5
    max_runs: int = 200
    warm_up_runs: int = 2
    timeout_s: float = 60.0


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
            loaded = self._runtime.load(
                path,
                inputs=interface.consumed,
                outputs=interface.produced,
                threads=self._threads,
                timeout_s=self._effort.timeout_s,
            )
            try:
                return self._time(loaded, golden_inputs(interface.consumed))
            finally:
                loaded.close()
        finally:
            path.unlink(missing_ok=True)

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
        compute_s: list[float] = []
        call_s: list[float] = []
        while len(call_s) < effort.min_runs or (
            len(call_s) < effort.max_runs and time.perf_counter() - started_s < effort.budget_s
        ):
            before_s = time.perf_counter()
            run = loaded.invoke(inputs, timeout_s=effort.timeout_s)
            call_s.append(time.perf_counter() - before_s)
            compute_s.append(run.compute_s)
        return SliceTiming(compute_s=_lower_quartile(compute_s), call_s=_lower_quartile(call_s))


def _lower_quartile(seconds: list[float]) -> float:
    """What a run takes when nobody disturbs it; neighbours on the cores only ever add time."""
    return sorted(seconds)[len(seconds) // 4]


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

    Raises: what the runtime raises, DeviceError when slices cannot be written.
    """
    timer = SliceTimer(model, runtime, threads=conditions.threads, folder=folder, effort=effort)
    return measure_capability(
        conditions,
        boundaries=boundaries,
        efforts=layer_efforts(model),
        time_slice=timer,
        on_progress=on_progress,
    )
