"""Whether any pipeline keeps a period: sets of reachable cuts as bits, no durations summed.

Pipelines grow from the reply towards the request. After n stages the state is how many nodes of
each kind are used and which kind runs the first of these stages; its value is the set of layers
at which that stage may start. A threshold test costs O(M · K · (K + N)) operations on bit sets
for K kinds, N layers and M = Π(nodes of a kind + 1).
"""

from collections.abc import Iterable
from typing import TypeAlias

from mesh.planning.limits import Limits

Tails: TypeAlias = dict[int, list[tuple[int, int]]]
"""used → (kind of the first stage, its possible starts as bits)."""


def can_run(limits: Limits) -> bool:
    """Whether a pipeline exists whose stages and transfers all keep the threshold."""
    grid = limits.grid
    tails: Tails = {0: [(grid.gateway, 1 << grid.layers)]}
    for count in range(1, grid.max_stages + 1):
        tails = _one_stage_more(limits, tails, count)
        if count >= grid.min_stages and _any_complete(limits, tails.values()):
            return True
    return False


def _any_complete(limits: Limits, tails: Iterable[list[tuple[int, int]]]) -> bool:
    entries = limits.sends[limits.grid.gateway]
    return any(starts & entries[kind] & 1 for firsts in tails for kind, starts in firsts)


def _one_stage_more(limits: Limits, tails: Tails, count: int) -> Tails:
    """All tails of `count` stages from those of one less; empty ones are left out."""
    grid, longer, useful = limits.grid, Tails(), dict[int, int]()
    for used, firsts in tails.items():
        for kind in grid.free_kinds(used):
            stops, sends = 0, limits.sends[kind]
            for receiver, starts in firsts:
                stops |= starts & sends[receiver]
            if not stops:
                continue
            after = used + grid.steps[kind]
            if after not in useful:
                useful[after] = useful_starts(limits, after, count)
            starts = limits.starts(kind, stops) & useful[after]
            if starts:
                longer.setdefault(after, []).append((kind, starts))
    return longer


def useful_starts(limits: Limits, used: int, count: int) -> int:
    """The starts from which the nodes and stages that are left could still reach the request."""
    grid = limits.grid
    if count >= grid.max_stages:
        return 1
    first = max(0, grid.min_stages - count)
    last = limits.last_open(used)
    return (1 << last + 1) - (1 << first) if first <= last else 0
