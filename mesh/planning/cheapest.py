"""The least latency of a pipeline that keeps a period, with the fewest stages among equals.

The same states as in `reach`, each with a sum of ticks (and stages, see `ticks.STAGE`) instead of
a bit. A bound from the front (`heads`) leaves out what cannot end within the cap.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from mesh.planning.limits import Limits
from mesh.planning.reach import useful_starts
from mesh.planning.ticks import NEVER, STAGE

Costs: TypeAlias = dict[int, int]
"""Start or stop of a stage → ticks from there to the reply."""

Tails: TypeAlias = dict[int, dict[int, Costs]]
"""used → kind of the first stage → costs by its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """The best sum, and for each number of stages the tails that may be part of it.

    Each stage adds `per_stage`: `ticks.STAGE` when fewer stages are better, else 0.
    """

    ticks: int
    per_stage: int
    tails: tuple[Tails, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """Tails whose sum and the least ticks before them exceed `cap` are left out."""

    heads: list[list[int]]
    cap: int

    def keeps(self, kind: int, start: int, ticks: int) -> bool:
        return ticks + self.heads[kind][start] <= self.cap


def find_cheapest(limits: Limits, cap: int, per_stage: int = STAGE) -> Cheapest | None:
    """The cheapest pipeline of at most `cap` ticks; None when there is none."""
    grid, bound = limits.grid, _Bound(heads=_heads(limits), cap=cap)
    levels: list[Tails] = [{0: {grid.gateway: {grid.layers: 0}}}]
    best = NEVER
    for count in range(1, grid.max_stages + 1):
        levels.append(_one_stage_more(limits, levels[-1], count, bound, per_stage))
        if count >= grid.min_stages:
            best = min(best, _complete(limits, levels[-1], bound.cap))
            bound = replace(bound, cap=min(bound.cap, best))
        if not levels[-1]:
            break
    return Cheapest(ticks=best, per_stage=per_stage, tails=tuple(levels)) if best < NEVER else None


def _complete(limits: Limits, tails: Tails, cap: int) -> int:
    """The least sum at the request; NEVER when none is within the cap."""
    gateway = limits.grid.gateway
    sums = [arrivals(limits, gateway, firsts).get(0, NEVER) for firsts in tails.values()]
    return min((ticks for ticks in sums if ticks <= cap), default=NEVER)


def arrivals(limits: Limits, sender: int, firsts: Mapping[int, Costs]) -> Costs:
    """For each boundary at which `sender` may hand over: the least cost of the transfer and the rest."""
    found: Costs = {}
    for receiver, costs in firsts.items():
        allowed, hops = limits.sends[sender][receiver], limits.grid.hops[sender][receiver]
        for boundary, ticks in costs.items():
            if allowed >> boundary & 1:
                total = ticks + hops[boundary]
                if total < found.get(boundary, NEVER):
                    found[boundary] = total
    return found


def _one_stage_more(
    limits: Limits, tails: Tails, count: int, bound: _Bound, per_stage: int
) -> Tails:
    grid, longer = limits.grid, Tails()
    for used, firsts in tails.items():
        for kind in grid.free_kinds(used):
            after = used + grid.steps[kind]
            costs = stage_costs(limits, kind, arrivals(limits, kind, firsts), per_stage)
            useful = useful_starts(limits, after, count)
            kept = {
                start: ticks
                for start, ticks in costs.items()
                if useful >> start & 1 and bound.keeps(kind, start, ticks)
            }
            if kept:
                longer.setdefault(after, {})[kind] = kept
    return longer


def stage_costs(limits: Limits, kind: int, after: Costs, per_stage: int) -> Costs:
    """For each start the least cost of one stage of a kind and what follows its end."""
    if limits.grid.kinds[kind].gaps is not None:
        return _stage_costs_with_gaps(limits, kind, after, per_stage)
    until, first = limits.grid.kinds[kind].until, limits.first[kind]
    fixed = limits.grid.kinds[kind].stage + per_stage
    costs: Costs = {}
    # Stops in a falling order of position and a rising order of cost; the front one is the best.
    window: deque[tuple[int, int]] = deque()
    stops = sorted(after)
    start = stops[-1] if stops else 0
    while start > 0 and (stops or window):
        start = start - 1 if window else stops[-1] - 1
        if stops and stops[-1] == start + 1:
            stop = stops.pop()
            ticks = after[stop] + until[stop]
            while window and window[-1][1] >= ticks:
                window.pop()
            window.append((stop, ticks))
        while window and first[window[0][0]] > start:
            window.popleft()
        if window:
            costs[start] = window[0][1] - until[start] + fixed
    return costs


def _stage_costs_with_gaps(limits: Limits, kind: int, after: Costs, per_stage: int) -> Costs:
    """The same where frames held at boundaries make memory jump: each pair is looked at."""
    it, first = limits.grid.kinds[kind], limits.first[kind]
    gaps, costs = it.gaps or (), Costs()
    for stop, ticks in after.items():
        through = ticks + it.until[stop] + it.stage + per_stage
        for start in range(first[stop], stop):
            if gaps[stop] >> start & 1:
                total = through - it.until[start]
                if total < costs.get(start, NEVER):
                    costs[start] = total
    return costs


def _heads(limits: Limits) -> list[list[int]]:
    """For each kind and start the least ticks before that stage begins, if nodes could serve twice."""
    grid = limits.grid
    entries, allowed = grid.hops[grid.gateway], limits.sends[grid.gateway]
    heads = [[NEVER] * (grid.layers + 1) for _ in grid.kinds]
    for kind, head in enumerate(heads):
        head[0] = entries[kind][0] if allowed[kind] & 1 else NEVER
    windows = [deque[tuple[int, int]]() for _ in grid.kinds]
    for stop in range(1, grid.layers):
        for sender, window in enumerate(windows):
            done = _done(limits, sender, heads[sender], window, stop)
            if done >= NEVER:
                continue
            for receiver, head in enumerate(heads):
                if limits.sends[sender][receiver] >> stop & 1:
                    head[stop] = min(head[stop], done + grid.hops[sender][receiver][stop])
    return heads


def _done(
    limits: Limits, kind: int, head: list[int], window: deque[tuple[int, int]], stop: int
) -> int:
    """The least ticks at which a stage of a kind has ended at `stop`; gaps in memory are overlooked."""
    it, start = limits.grid.kinds[kind], stop - 1
    if head[start] < NEVER:
        ticks = head[start] - it.until[start]
        while window and window[-1][1] >= ticks:
            window.pop()
        window.append((start, ticks))
    while window and window[0][0] < limits.first[kind][stop]:
        window.popleft()
    return window[0][1] + it.until[stop] + it.stage if window else NEVER
