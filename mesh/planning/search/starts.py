"""First plans, quickly found: single nodes, replicas of the whole model, chains of nodes in a row."""

from collections.abc import Iterator, Sequence
from math import fsum

import numpy as np

from mesh.planning.search.space import Ints
from mesh.planning.search.tables import Floats, Tables

Numbers = tuple[int, ...]
"""How many nodes of each kind a team has."""
Stages = list[tuple[Numbers, int, int]]
"""(team, start, stop) in order."""
Places = list[tuple[int, int]]
"""(start, stop) in order."""


def first_plans(tables: Tables) -> Iterator[tuple[float, Stages]]:
    """Whole-model plans, then the best chain for each of a few orders of nodes, by length.

    Each with its period, links at their best.
    """
    yield from _whole(tables)
    if tables.problem.max_stages != 1:
        alone = [period_table(tables, _one(tables, k)) for k in range(len(tables.kinds))]
        for order in _orders(tables):
            teams = [_one(tables, k) for k in order]
            for period_s, places in chains(tables, [alone[k] for k in order]):
                yield period_s, [(team, *place) for team, place in zip(teams, places, strict=False)]


def _whole(tables: Tables) -> Iterator[tuple[float, Stages]]:
    """Each kind alone, and the quickest nodes as replicas, one more at a time."""
    last, most = tables.layers, tables.problem.max_replicas or len(tables.problem.nodes)
    able = [k for k, table in enumerate(tables.by_kind) if np.isfinite(table.pace[0, last])]
    teams = [_one(tables, k) for k in able]
    numbers = [0] * len(tables.kinds)
    for k in sorted(able, key=lambda k: (tables.by_kind[k].compute[0, last], k)):
        for _ in range(len(tables.kinds[k])):
            numbers[k] += 1
            if 1 < sum(numbers) <= most:
                teams.append(tuple(numbers))
    for team in teams:
        yield float(period_table(tables, team)[0, last]), [(team, 0, last)]


def _orders(tables: Tables) -> Iterator[list[int]]:
    """Kinds, one entry for each node: by speed, by memory, both ways."""
    every = [k for k, kind in enumerate(tables.kinds) for _ in range(len(kind))]
    speed = [fsum((*kind.first.times_s, kind.first.stage_s)) for kind in tables.kinds]
    by_speed = sorted(every, key=lambda k: (speed[k], k))
    by_memory = sorted(every, key=lambda k: (-tables.kinds[k].first.memory_bytes, speed[k], k))
    yield by_speed
    yield by_speed[::-1]
    yield by_memory
    yield by_memory[::-1]


def _one(tables: Tables, kind: int) -> Numbers:
    return tuple(int(k == kind) for k in range(len(tables.kinds)))


def period_table(tables: Tables, team: Numbers) -> Floats:
    """A team's period for every [start, stop), links at their best; infinite where it cannot run."""
    members = [
        (table, number) for table, number in zip(tables.by_kind, team, strict=True) if number
    ]
    rate = np.zeros_like(members[0][0].rate)
    for table, number in members:
        rate = rate + number * table.rate
    with np.errstate(divide="ignore"):
        period: Floats = np.where(rate > 0, 1.0 / rate, np.inf)
    period[0] = np.maximum(period[0], min(float(table.inward[0]) for table, _ in members))
    leave_s = min(float(table.outward[-1]) for table, _ in members)
    period[:, -1] = np.maximum(period[:, -1], leave_s)
    return period


def chains(tables: Tables, periods: Sequence[Floats]) -> Iterator[tuple[float, Places]]:
    """For each number of teams the first so many in this order, cut where the period is shortest.

    `periods` as `period_table` gives them, one per team.
    """
    reached = np.full(tables.layers + 1, np.inf)
    reached[0] = 0.0
    origins: list[Ints] = []
    for period in periods:
        both = np.maximum(reached[:, None], period)
        origins.append(both.argmin(axis=0))
        reached = both.min(axis=0)
        if np.isfinite(reached[-1]):
            yield float(reached[-1]), _cuts(origins, tables.layers)


def _cuts(origins: Sequence[Ints], last: int) -> Places:
    places: Places = []
    stop = last
    for origin in reversed(origins):
        start = int(origin[stop])
        places.append((start, stop))
        stop = start
    return places[::-1]
