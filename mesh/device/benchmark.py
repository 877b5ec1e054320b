"""Measures a model on this node: times chunks through a given function and makes a `Capability`.

How a slice is cut, loaded and run is the caller's business (`mesh.runtime.measuring`).
"""

import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

from mesh.device.capability import Capability, Conditions
from mesh.device.chunks import (
    MAX_CHUNKS,
    SliceTiming,
    choose_chunks,
    halves,
    slice_constant_s,
    spread_over_pieces,
)
from mesh.model.tensor import LayerRange

TimeSlice = Callable[[LayerRange], SliceTiming]
"""Times one invoke of a slice, warm, from repeated runs."""

OnProgress = Callable[[int, int], None]
"""Called with how many slices are done, of how many."""


def measure_capability(
    conditions: Conditions,
    *,
    boundaries: Sequence[int],
    efforts: Sequence[float],
    time_slice: TimeSlice,
    on_progress: OnProgress | None = None,
    max_chunks: int = MAX_CHUNKS,
    passes: int = 2,
) -> Capability:
    """Time the chunks and the model's halves. Raises: whatever `time_slice` raises.

    `boundaries` are the cut positions a plan may use, with 0 and the number of layers;
    `efforts[i]` is a guess of layer i's cost (`mesh.device.effort`). Of several passes the least
    time of each slice counts: clocks and neighbours drift over seconds, by 40 % on a shared
    machine, which would favour the chunks that were timed in a good moment.
    """
    chunks = choose_chunks(boundaries, efforts, max_chunks)
    # The halves, not the whole: the whole may be what this node has no memory for.
    ranges = [*pairwise(chunks), *halves(chunks)]
    timings = _time_all(ranges, time_slice, passes, on_progress)
    parts, merged = timings[: len(chunks) - 1], timings[len(chunks) - 1 :]
    chunk_s, constant_s = _net_chunk_s(parts, merged)
    return Capability(
        conditions=conditions,
        boundaries=tuple(boundaries),
        layer_s=spread_over_pieces(boundaries, efforts, chunks, chunk_s),
        stage_s=constant_s + _calling_s(timings),
    )


def _time_all(
    ranges: Sequence[tuple[int, int]],
    time_slice: TimeSlice,
    passes: int,
    on_progress: OnProgress | None,
) -> list[SliceTiming]:
    best: list[SliceTiming | None] = [None] * len(ranges)
    done, total = 0, passes * len(ranges)
    for _ in range(passes):
        for place, (start, stop) in enumerate(ranges):
            if on_progress is not None:
                on_progress(done, total)
            timing = time_slice(LayerRange(start=start, stop=stop))
            best[place] = timing.least(best[place])
            done += 1
    if on_progress is not None:
        on_progress(done, total)
    return [timing for timing in best if timing is not None]


def _net_chunk_s(
    parts: Sequence[SliceTiming], merged: Sequence[SliceTiming]
) -> tuple[list[float], float]:
    """What each chunk takes inside the interpreter less the constant of being a slice, and that constant."""
    compute_s = [timing.compute_s for timing in parts]
    constant_s = slice_constant_s(compute_s, [timing.compute_s for timing in merged])
    return [seconds - constant_s for seconds in compute_s], constant_s


def _calling_s(timings: Sequence[SliceTiming]) -> float:
    """What a call takes beside the interpreter: the way to its process and the copies of tensors."""
    return statistics.median(max(0.0, timing.call_s - timing.compute_s) for timing in timings)
