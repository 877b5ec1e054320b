"""Which consecutive chunks of a model to time, and what their times say of each layer; numbers only.

No interpreter tells the time of one operator from Python, and slices of single operators mislead
(mean error 6–32 %). About twelve consecutive chunks, less a constant each, predict the time of
stages within 1.4–7.5 %.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

MAX_CHUNKS = 12


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


def halves(chunks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Two ranges that cover the chunks; none where there are fewer than four."""
    if len(chunks) < 5:
        return ()
    middle = chunks[len(chunks) // 2]
    return ((chunks[0], middle), (middle, chunks[-1]))


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
    chunks: Sequence[int],
    chunk_s: Sequence[float],
) -> tuple[float, ...]:
    """Seconds of each piece between neighbouring boundaries: its chunk's, by its share of the effort.

    The guess decides only how time is shared inside a chunk, never how much there is in all.
    """
    reached = [0.0, *accumulate(efforts)]
    times: list[float] = []
    for (start, stop), seconds in zip(pairwise(chunks), chunk_s, strict=True):
        inside = [cut for cut in boundaries if start <= cut <= stop]
        weights = [reached[end] - reached[begin] for begin, end in pairwise(inside)]
        total = math.fsum(weights)
        times += [
            seconds * (weight / total if total > 0 else 1 / len(weights)) for weight in weights
        ]
    return tuple(times)
