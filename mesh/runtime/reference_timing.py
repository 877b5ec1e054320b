"""Times models on this machine for a board's reference rates: whole and in chunks, with the real runtime.

Which models, and what follows from their times, is decided elsewhere (`mesh.device.rate_fit`).
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from mesh.device.chunks import Chunk, choose_chunks
from mesh.device.effort import layer_efforts
from mesh.device.load import piece_loads
from mesh.device.rate_fit import ModelTimings, Timing
from mesh.model.model import Model
from mesh.model.tensor import LayerRange
from mesh.runtime.measuring import Effort, SliceTimer, all_boundaries
from mesh.runtime.port import Runtime

CHUNKS = 24
"""Twice as many as for planning: chunks of few kinds of operator tell the kinds apart."""
PASSES = 3
OnSlice = Callable[[int, int], None]
"""Called with how many slices are timed, of how many."""


def time_model(
    name: str,
    model: Model,
    runtime: Runtime,
    *,
    folder: Path,
    threads: int = 1,
    passes: int = PASSES,
    effort: Effort | None = None,
    on_slice: OnSlice | None = None,
) -> ModelTimings:
    """The least of several passes, inside the interpreter; slice files live in `folder` meanwhile.

    Raises: what the runtime raises, DeviceError when slices cannot be written.
    """
    cuts = choose_chunks(all_boundaries(model), layer_efforts(model), CHUNKS)
    whole = (0, len(model.layers))
    chunks = list(pairwise(cuts))
    timer = SliceTimer(model, runtime, threads=threads, folder=folder, effort=effort)
    seconds: dict[Chunk, float] = {}
    slices = list(dict.fromkeys([*chunks, whole]))
    for done, (start, stop) in enumerate(slices * passes, start=1):
        timing = timer(LayerRange(start=start, stop=stop))
        known_s = seconds.get((start, stop), timing.compute_s)
        seconds[start, stop] = min(known_s, timing.compute_s)
        if on_slice is not None:
            on_slice(done, len(slices) * passes)
    return ModelTimings(
        name=name,
        whole=_timing(model, whole, seconds),
        chunks=tuple(_timing(model, chunk, seconds) for chunk in chunks),
    )


def _timing(model: Model, chunk: Chunk, seconds: dict[Chunk, float]) -> Timing:
    (load,) = piece_loads(model, chunk)
    return Timing(load=load, seconds=seconds[chunk])
