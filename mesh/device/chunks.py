"""Which consecutive chunks of a model to time, and what their times say of each layer; numbers only.

No interpreter tells the time of one operator from Python, and slices of single operators mislead
(mean error 6–32 %). About twelve consecutive chunks, less a constant each, predict the time of
stages within 1.4–7.5 %; one whose time is far from the guess is looked at closer.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

MAX_CHUNKS = 12
MAX_DOUBT = 0.025
"""A share of the model's time by which a chunk may differ from the guess; 12 chunks have 0.083 each."""

Chunk: TypeAlias = tuple[int, int]
"""Layers [start, stop), at boundaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTiming:
    """One invoke of a slice: inside the interpreter, and as its caller sees it with all copies."""

    compute_s: float
    call_s: float

    def least(self, other: "SliceTiming | None") -> "SliceTiming":
        """The smaller of both in each part."""
        if other is None:
            return self
        return SliceTiming(
            compute_s=min(self.compute_s, other.compute_s), call_s=min(self.call_s, other.call_s)
        )


def choose_chunks(
    boundaries: Sequence[int], efforts: Sequence[float], limit: int = MAX_CHUNKS
) -> tuple[int, ...]:
    """Some of the boundaries, first and last included, so that chunks between them weigh about the same.

    `efforts[i]` is a guess of what layer i costs, in any unit.
    """
    reached = [0.0, *accumulate(efforts)]
    inner = [reached[cut] for cut in boundaries[1:-1]]  # increases with the boundary
    total = reached[boundaries[-1]]
    wanted = min(limit, len(boundaries) - 1)
    picked = {boundaries[1 + _nearest(inner, total * share / wanted)] for share in range(1, wanted)}
    return (boundaries[0], *sorted(picked), boundaries[-1])


def _nearest(increasing: Sequence[float], target: float) -> int:
    after = bisect_left(increasing, target)
    candidates = [place for place in (after - 1, after) if 0 <= place < len(increasing)]
    return min(candidates, key=lambda place: abs(increasing[place] - target))


def able_chunks(
    boundaries: Sequence[int],
    efforts: Sequence[float],
    unable: Collection[tuple[int, int]],
    limit: int = MAX_CHUNKS,
) -> tuple[Chunk, ...]:
    """The chunks to time, in order, where the layers [start, stop) of `unable` cannot be loaded."""
    ends = {end for layers in unable for end in layers}
    cuts = sorted({*choose_chunks(boundaries, efforts, limit), *ends})
    return tuple(
        (start, stop)
        for start, stop in pairwise(cuts)
        if not any(first <= start and stop <= last for first, last in unable)
    )


def split(boundaries: Sequence[int], chunk: Chunk) -> tuple[Chunk, ...]:
    """The chunk as two of about as many pieces; none where it is one piece."""
    start, stop = chunk
    inner = [cut for cut in boundaries if start < cut < stop]
    if not inner:
        return ()
    middle = inner[len(inner) // 2]
    return ((start, middle), (middle, stop))


def doubtful(
    boundaries: Sequence[int],
    efforts: Sequence[float],
    chunks: Sequence[Chunk],
    chunk_s: Sequence[float],
) -> Chunk | None:
    """The chunk of several pieces whose time is furthest from what the guess gives it, if it is far.

    Where the guess is wrong about a chunk, it is likely to be wrong inside it, too.
    """
    reached = [0.0, *accumulate(efforts)]
    guessed = [reached[stop] - reached[start] for start, stop in chunks]
    total_s, total = math.fsum(chunk_s), math.fsum(guessed)
    if total_s <= 0 or total <= 0:
        return None
    off = {
        chunk: abs(seconds / total_s - guess / total)
        for chunk, seconds, guess in zip(chunks, chunk_s, guessed, strict=True)
        if split(boundaries, chunk)
    }
    worst = max(off, key=lambda chunk: off[chunk], default=None)
    return worst if worst is not None and off[worst] > MAX_DOUBT else None


def halved(boundaries: Sequence[int], efforts: Sequence[float], chunk: Chunk) -> tuple[Chunk, ...]:
    """The chunk as two of about as much effort; it has an inner boundary."""
    start, stop = chunk
    reached = [0.0, *accumulate(efforts)]
    inner = [cut for cut in boundaries if start < cut < stop]
    middle = inner[_nearest([reached[cut] for cut in inner], (reached[start] + reached[stop]) / 2)]
    return ((start, middle), (middle, stop))


def longest_run(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """The most chunks that follow each other without a gap; the first of several such runs."""
    longest, run = tuple[Chunk, ...](), tuple[Chunk, ...]()
    for chunk in chunks:
        run = (*run, chunk) if run and run[-1][1] == chunk[0] else (chunk,)
        longest = max(longest, run, key=len)
    return longest


def halves(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Two ranges that cover chunks which follow each other; none where there are fewer than four."""
    if len(chunks) < 4:
        return ()
    middle = chunks[(len(chunks) + 1) // 2][0]
    return ((chunks[0][0], middle), (middle, chunks[-1][1]))


def slice_constant_s(parts: Sequence[float], merged: Sequence[float]) -> float:
    """What each slice costs for being one: `parts` and `merged` are times of the same layers.

    With a constant c in each slice, Σ parts − Σ merged = (number of parts − number merged) · c.
    """
    if not merged or len(parts) <= len(merged):
        return 0.0
    surplus_s = math.fsum(parts) - math.fsum(merged)
    constant_s = surplus_s / (len(parts) - len(merged))
    return max(0.0, min(constant_s, *parts))  # no part takes less than what being one costs


def spread_over_pieces(
    boundaries: Sequence[int],
    efforts: Sequence[float],
    chunks: Sequence[Chunk],
    chunk_s: Sequence[float],
) -> tuple[float | None, ...]:
    """Seconds of each piece between neighbouring boundaries: its chunk's, by its share of the effort.

    None for a piece of no chunk. The guess decides only how time is shared inside a chunk, never
    how much there is in all.
    """
    reached = [0.0, *accumulate(efforts)]
    times: dict[int, float] = {}
    for (start, stop), seconds in zip(chunks, chunk_s, strict=True):
        inside = [cut for cut in boundaries if start <= cut <= stop]
        weights = [reached[end] - reached[begin] for begin, end in pairwise(inside)]
        total = math.fsum(weights)
        for begin, weight in zip(inside, weights, strict=False):
            times[begin] = seconds * (weight / total if total > 0 else 1 / len(weights))
    return tuple(times.get(begin) for begin in boundaries[:-1])
