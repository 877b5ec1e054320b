"""Measures a model on this node: times chunks through a given function and makes a `Capability`.

How a slice is cut, loaded and run is the caller's business (`mesh.runtime.measuring`).
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mesh.device.capability import MAX_REFUSALS, Capability, Conditions, Refusal
from mesh.device.chunks import (
    MAX_CHUNKS,
    Chunk,
    SliceTiming,
    able_chunks,
    doubtful,
    halved,
    halves,
    longest_run,
    slice_constant_s,
    split,
    spread_over_pieces,
)
from mesh.errors import UnsupportedModelError
from mesh.model.tensor import LayerRange

TimeSlice = Callable[[LayerRange], SliceTiming]
"""Times one invoke of a slice, warm, from repeated runs. UnsupportedModelError: it cannot be loaded."""

OnProgress = Callable[[int, int], None]
"""Called with how many slices are done, of how many."""

MAX_CLOSER_LOOKS = 4
"""How many chunks are timed in two parts because they took another time than was guessed."""
MAX_SPLITS = 48
"""How many refused chunks are split to find what of them is refused; a further one is given up whole."""


def measure_capability(
    conditions: Conditions,
    *,
    threads: int,
    boundaries: Sequence[int],
    efforts: Sequence[float],
    time_slice: TimeSlice,
    refusals: Sequence[Refusal] = (),
    on_progress: OnProgress | None = None,
    max_chunks: int = MAX_CHUNKS,
    passes: int = 2,
) -> Capability:
    """Time the chunks and the model's halves. Raises: whatever `time_slice` raises.

    `boundaries` are the cut positions a plan may use, with 0 and the number of layers;
    `efforts[i]` is a guess of layer i's cost (`mesh.device.effort`). Layers of `refusals` are known
    to be refused; a chunk that turns out to be is split until what is left can be loaded. Nothing
    left is an UnsupportedModelError. Of several passes the least time of each slice counts: clocks
    and neighbours drift over seconds, by 40 % on a shared machine, which would favour the chunks
    that were timed in a good moment.
    """
    survey = _Survey(boundaries, time_slice, on_progress)
    survey.load(able_chunks(boundaries, efforts, _ranges(refusals), max_chunks), passes)
    refused = joined([*refusals, *survey.refusals])
    if not survey.chunks:
        raise UnsupportedModelError(refused[0].reason)
    survey.look_closer(efforts, passes)
    for _ in range(passes - 1):
        survey.time_again()
    chunk_s, constant_s = _net_chunk_s(survey)
    return Capability(
        conditions=conditions,
        threads=threads,
        boundaries=tuple(boundaries),
        layer_s=spread_over_pieces(boundaries, efforts, survey.chunks, chunk_s),
        stage_s=constant_s + _calling_s(list(survey.timings.values())),
        refusals=refused[:MAX_REFUSALS],
    )


class _Survey:
    """The slices timed so far: `chunks`, which do not overlap, and `merged`, which cover some of them."""

    def __init__(
        self, boundaries: Sequence[int], time_slice: TimeSlice, on_progress: OnProgress | None
    ) -> None:
        self._boundaries = boundaries
        self._time_slice = time_slice
        self._on_progress = on_progress
        self._done = self._total = 0
        self.timings: dict[Chunk, SliceTiming] = {}
        self.chunks: tuple[Chunk, ...] = ()
        self.merged: tuple[Chunk, ...] = ()
        self.refusals: list[Refusal] = []

    def load(self, chunks: Sequence[Chunk], passes: int) -> None:
        """Time each chunk once, or what of it can be loaded, and the halves of their longest run."""
        self._total = passes * (len(chunks) + len(halves(longest_run(chunks))))
        self._tell()
        self.chunks = tuple(self._able(chunks, passes))
        # The halves, not the whole: the whole may be what this node has no memory for.
        merged = halves(longest_run(self.chunks))
        # Chunks that load may still be refused together; then the constant stays unknown.
        if all(self._refusal(each) is None for each in merged):
            self.merged = merged
        self._total = self._done + (passes - 1) * len([*self.chunks, *self.merged])

    def look_closer(self, efforts: Sequence[float], passes: int) -> None:
        """Time chunks in two parts where the guess, which shares time inside them, seems wrong."""
        for _ in range(MAX_CLOSER_LOOKS):
            seconds = [self.timings[chunk].compute_s for chunk in self.chunks]
            chunk = doubtful(self._boundaries, efforts, self.chunks, seconds)
            if chunk is None:
                return
            parts = halved(self._boundaries, efforts, chunk)
            self._total += len(parts) + (passes - 1) * (len(parts) - 1)
            if any(self._refusal(part) is not None for part in parts):
                return  # what loads as one is timed as one
            place = self.chunks.index(chunk)
            self.chunks = (*self.chunks[:place], *parts, *self.chunks[place + 1 :])

    def time_again(self) -> None:
        for chunk in (*self.chunks, *self.merged):
            self._time(chunk)

    def _able(self, chunks: Sequence[Chunk], passes: int) -> Iterator[Chunk]:
        waiting, splits = list(reversed(chunks)), 0
        while waiting:
            chunk = waiting.pop()
            reason = self._refusal(chunk)
            if reason is None:
                yield chunk
                continue
            parts = split(self._boundaries, chunk) if splits < MAX_SPLITS else ()
            waiting += reversed(parts)
            splits += 1
            self._total += passes * len(parts)
            if not parts:
                self.refusals.append(Refusal.of(*chunk, reason))

    def _refusal(self, chunk: Chunk) -> str | None:
        try:
            self._time(chunk)
        except UnsupportedModelError as error:
            return str(error)
        return None

    def _time(self, chunk: Chunk) -> None:
        timing = self._time_slice(LayerRange(start=chunk[0], stop=chunk[1]))
        self.timings[chunk] = timing.least(self.timings.get(chunk))
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._done, max(self._done, self._total))


def _ranges(refusals: Sequence[Refusal]) -> list[Chunk]:
    return [(each.start, each.stop) for each in refusals]


def joined(refusals: Sequence[Refusal]) -> tuple[Refusal, ...]:
    """In order; neighbours refused for one reason as one."""
    found: list[Refusal] = []
    for each in sorted(refusals, key=lambda each: each.start):
        last = found[-1] if found else None
        if last is not None and (last.stop, last.reason) == (each.start, each.reason):
            found[-1] = replace(last, stop=each.stop)
        else:
            found.append(each)
    return tuple(found)


def _net_chunk_s(survey: _Survey) -> tuple[list[float], float]:
    """What each chunk takes inside the interpreter less the constant of being a slice, and that constant."""
    compute_s = {chunk: timing.compute_s for chunk, timing in survey.timings.items()}
    parts = longest_run(survey.chunks) if survey.merged else ()
    constant_s = slice_constant_s(
        [compute_s[chunk] for chunk in parts], [compute_s[chunk] for chunk in survey.merged]
    )
    # No chunk takes less than what being one costs.
    constant_s = min(constant_s, *(compute_s[chunk] for chunk in survey.chunks))
    return [compute_s[chunk] - constant_s for chunk in survey.chunks], constant_s


def _calling_s(timings: Sequence[SliceTiming]) -> float:
    """What a call takes beside the interpreter: the way to its process and the copies of tensors."""
    return statistics.median(max(0.0, timing.call_s - timing.compute_s) for timing in timings)
