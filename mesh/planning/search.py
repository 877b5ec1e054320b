"""The best pipeline of a grid: the least period by bisection over every period that can occur."""

from collections.abc import Callable, Sequence
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
    index = _first_true(periods, 0, lambda period: can_run(Limits(grid, period)))
    found = _cheapest_at(grid, periods[index], cap)
    if found is not None or _cheapest_at(grid, periods[-1], cap) is None:
        return found
    # The latency cap binds: a longer period lets fewer or longer stages answer sooner.
    index = _first_true(
        periods, index + 1, lambda period: _cheapest_at(grid, period, cap) is not None
    )
    return _cheapest_at(grid, periods[index], cap)


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


def _first_true(periods: Sequence[int], low: int, test: Callable[[int], bool]) -> int:
    """The first index ≥ low whose period passes a test that stays true once it is; the last must pass."""
    high = len(periods) - 1
    while low < high:
        middle = (low + high) // 2
        if test(periods[middle]):
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
