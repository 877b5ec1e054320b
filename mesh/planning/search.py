"""The best pipeline of a grid: the least period by bisection over every period that can occur."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from mesh.planning import paths
from mesh.planning.cheapest import Cheapest, find_cheapest
from mesh.planning.grid import Grid, Kind
from mesh.planning.limits import Limits
from mesh.planning.reach import can_run
from mesh.planning.ticks import NEVER, any_count

ANY = NEVER - 1
"""A threshold that every stage and every link keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The pipelines of least latency under the least period."""

    limits: Limits
    cheapest: Cheapest


def least_period(grid: Grid, cap: int) -> Found | None:
    """The least period of a pipeline whose latency is at most `cap`, then its least latency."""
    if not can_run(Limits(grid, ANY)):
        return None
    periods = possible_periods(grid)
    index = _first_to_run(grid, periods)
    found = _cheapest_at(grid, periods[index], cap)
    return found or _least_period_within(grid, periods, index + 1, cap)


def _least_period_within(grid: Grid, periods: list[int], low: int, cap: int) -> Found | None:
    """The least period from index `low` on at which the cap is kept: a longer one may answer sooner.

    A plan that keeps the cap under some threshold often has a period far below it, and often is
    the best already: so the period just below it is tried before the next halving.
    """
    low, found = _first_within(grid, periods, low, cap)
    while found is not None:
        high = bisect_left(periods, paths.least_period(found.limits, found.cheapest))
        below = _cheapest_at(grid, periods[high - 1], cap) if high > low else None
        if below is None:
            return _cheapest_at(grid, periods[high], cap)
        middle = (low + high - 1) // 2
        found = _cheapest_at(grid, periods[middle], cap)
        if found is None:
            low, found = middle + 1, below
    return None


def _first_within(grid: Grid, periods: list[int], low: int, cap: int) -> tuple[int, Found | None]:
    """Raise the threshold by growing steps until the cap is kept: low thresholds are the quick ones.

    Returns the first index that has not failed, and what was found; None when all have.
    """
    longer = max(1, periods[min(low, len(periods) - 1)] // 16)
    while low < len(periods):
        index = max(low, bisect_right(periods, periods[low] + longer) - 1)
        found = _cheapest_at(grid, periods[index], cap)
        if found is not None:
            return low, found
        low, longer = index + 1, longer * 2
    return low, None


def least_latency(grid: Grid, cap: int) -> Found | None:
    """The least latency of a pipeline, at most `cap`, then its least period."""
    limits = Limits(grid, ANY)
    cheapest = find_cheapest(limits, cap, per_stage=0)
    if cheapest is None:
        return None
    period = paths.least_period(limits, cheapest)
    return _cheapest_at(grid, period, any_count(cheapest.ticks))


def _cheapest_at(grid: Grid, period: int, cap: int) -> Found | None:
    limits = Limits(grid, period)
    cheapest = find_cheapest(limits, cap)
    return None if cheapest is None else Found(limits=limits, cheapest=cheapest)


def _first_to_run(grid: Grid, periods: list[int]) -> int:
    """The index of the least period at which anything runs; at the last one something does."""
    low, high = 0, len(periods) - 1
    while low < high:
        middle = (low + high) // 2
        if can_run(Limits(grid, periods[middle])):
            high = middle
        else:
            low = middle + 1
    return low


def possible_periods(grid: Grid) -> list[int]:
    """Every duration of a stage or a transfer, rising: the period of a pipeline is one of them."""
    periods = {
        ticks for targets in grid.hops for hops in targets for ticks in hops if ticks < NEVER
    }
    for kind in grid.kinds:
        periods.update(_stage_periods(kind))
    return sorted(periods)


def _stage_periods(kind: Kind) -> set[int]:
    return {
        kind.until[stop] - kind.until[start] + kind.stage
        for stop in range(1, len(kind.until))
        for start in range(kind.first_fit[stop], stop)
    }
