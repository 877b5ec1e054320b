"""Chooses where to cut a model into stages of about equal cost, before any node has measured it.

It knows no nodes and no links: who runs what is planned from measurements (`mesh.planning.solver`).
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

SLACK = 0.1
"""By what part of an even share the dearest stage may cost more than it must …"""
WORTH = 0.8
"""… where no more than this share of the bytes crosses then."""


def even_split(
    boundaries: Sequence[int],
    live_bytes: Sequence[int],
    costs: Sequence[float],
    stages: int,
    *,
    slack: float = SLACK,
) -> tuple[int, ...] | None:
    """The cuts that make that many stages even, and of those the ones that least crosses.

    `boundaries` are the legal cuts with 0 and the number of layers, in order; `live_bytes[i]` is
    what crosses `boundaries[i]`, `costs[n]` the cost of layer n in any unit. None where there are
    fewer than `stages` pieces.
    """
    if stages > len(boundaries) - 1:
        return None
    reached = [0.0, *accumulate(costs)]
    ends = [reached[boundary] for boundary in boundaries]
    least = _least_limit(ends, stages)
    more = slack * ends[-1] / stages
    ways = (_cheapest(ends, live_bytes, stages, limit) for limit in (least, least + more))
    found = [way for way in ways if way is not None]
    evenest, cheaper = found[0], found[-1]
    crossing = [sum(live_bytes[place] for place in way) for way in (evenest, cheaper)]
    picked = cheaper if crossing[1] < WORTH * crossing[0] else evenest
    return tuple(boundaries[place] for place in picked)


def _least_limit(ends: Sequence[float], stages: int) -> float:
    """The cost of the dearest stage where it is least, and a billionth of the whole for rounding."""
    low, high = ends[-1] / stages, ends[-1]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _fits(ends, stages, middle) else (middle, high)
    return high + 1e-9 * ends[-1]


def _fits(ends: Sequence[float], stages: int, limit: float) -> bool:
    """Whether so many stages are enough when each costs no more than the limit."""
    place = 0
    for _ in range(stages):
        place = bisect_right(ends, ends[place] + limit) - 1
    return place == len(ends) - 1


def _cheapest(
    ends: Sequence[float], live_bytes: Sequence[int], stages: int, limit: float
) -> list[int] | None:
    """Places of the cuts with the least bytes in all; None where a stage would exceed the limit.

    `best[i]` is the least that crosses when so many stages end at place i; each stage's start is
    the cheapest in a window that moves along with its end.
    """
    best: list[float] = [0.0] + [math.inf] * (len(ends) - 1)
    starts: list[list[int]] = []
    for _ in range(stages):
        best, from_places = _one_stage_more(ends, live_bytes, best, limit)
        starts.append(from_places)
    if math.isinf(best[-1]):
        return None
    place, picked = len(ends) - 1, []
    for from_places in reversed(starts[1:]):
        place = from_places[place]
        picked.append(place)
    return picked[::-1]


def _one_stage_more(
    ends: Sequence[float], live_bytes: Sequence[int], best: Sequence[float], limit: float
) -> tuple[list[float], list[int]]:
    reached: list[float] = [math.inf] * len(ends)
    starts = [0] * len(ends)
    window: deque[int] = deque()  # places where the stage may start, cheapest first
    for place in range(1, len(ends)):
        while window and best[window[-1]] >= best[place - 1]:
            window.pop()
        window.append(place - 1)
        while window and ends[place] - ends[window[0]] > limit:
            window.popleft()
        if window:
            starts[place] = window[0]
            reached[place] = best[window[0]] + live_bytes[place]
    return reached, starts
