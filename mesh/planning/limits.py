"""What one period allows: which stages and transfers take no longer than a threshold."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from mesh.planning.grid import Grid, Kind


class Limits:
    """A grid under a threshold in ticks.

    A stage [start, stop) of kind k is allowed when start ≥ `first[k][stop]` (and memory has no gap
    there); a transfer a → b at a boundary when its bit is set in `sends[a][b]`.
    """

    __slots__ = ("_load", "_reach", "first", "grid", "sends", "threshold")

    def __init__(self, grid: Grid, threshold: int) -> None:
        self.grid = grid
        self.threshold = threshold
        self.first = tuple(_first_starts(kind, threshold) for kind in grid.kinds)
        self.sends = tuple(
            tuple(_allowed(hops, threshold) for hops in targets) for targets in grid.hops
        )
        self._load = _lightest(grid)
        self._reach = [self._most_load(first) for first in self.first]

    def _most_load(self, first: tuple[int, ...]) -> int:
        return max(self._load[stop] - self._load[start] for stop, start in enumerate(first))

    def allows(self, kind: int, start: int, stop: int) -> bool:
        """Whether a stage keeps the threshold and fits into memory."""
        gaps = self.grid.kinds[kind].gaps
        return self.first[kind][stop] <= start < stop and (
            gaps is None or gaps[stop] >> start & 1 == 1
        )

    def last_open(self, used: int) -> int:
        """The last layer boundary up to which the nodes not yet used could run everything.

        A bound: each node does at most the most work that any one stage of it may hold, work being
        measured as the time that the fastest kind takes.
        """
        left = sum(
            reach * (len(kind.node_ids) - self.grid.used_of(index, used))
            for index, (kind, reach) in enumerate(zip(self.grid.kinds, self._reach, strict=True))
        )
        return bisect_right(self._load, left) - 1

    def starts(self, kind: int, stops: int) -> int:
        """The starts of all allowed stages that end at one of `stops` (bits)."""
        if self.grid.kinds[kind].gaps is not None:
            return self._starts_with_gaps(kind, stops)
        first, found = self.first[kind], 0
        while stops:
            stop = stops.bit_length() - 1
            start = first[stop]
            # `first` rises, so of the stops inside [start, stop] the lowest reaches furthest.
            while (lower := first[_lowest_from(stops, start)]) < start:
                start = lower
            found |= (1 << stop) - (1 << start)
            stops &= (1 << min(start, stop)) - 1
        return found

    def _starts_with_gaps(self, kind: int, stops: int) -> int:
        first, gaps, found = self.first[kind], self.grid.kinds[kind].gaps or (), 0
        while stops:
            stop = stops.bit_length() - 1
            stops ^= 1 << stop
            found |= gaps[stop] >> first[stop] << first[stop]
        return found


def _lowest_from(bits: int, start: int) -> int:
    tail = bits >> start
    return start + (tail & -tail).bit_length() - 1


def _first_starts(kind: Kind, threshold: int) -> tuple[int, ...]:
    """For each stop the first start; the stop itself where no stage ending there is allowed."""
    spare = kind.stage - threshold
    return tuple(
        min(stop, max(fit, bisect_left(kind.until, until + spare)))
        for stop, (until, fit) in enumerate(zip(kind.until, kind.first_fit, strict=True))
    )


def _allowed(hops: tuple[int, ...], threshold: int) -> int:
    return sum(1 << boundary for boundary, ticks in enumerate(hops) if ticks <= threshold)


def _lightest(grid: Grid) -> list[int]:
    """Work done up to each boundary: every layer at the speed of the kind that is fastest at it."""
    layers = [
        min(kind.until[layer + 1] - kind.until[layer] for kind in grid.kinds)
        for layer in range(grid.layers)
    ]
    return list(accumulate(layers, initial=0))
