"""Branch and bound with every link as it is, where `sweep` counted each at its best.

Pipelines are built from the reply towards the request, one stage at a time. The heads of a sweep tell
how good the rest can be at best: what cannot beat the best plan known is not followed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mesh.planning.search.approach import Approach
from mesh.planning.search.budget import Budget
from mesh.planning.search.space import Ints, Space
from mesh.planning.search.starts import Numbers, Stages
from mesh.planning.search.sweep import Heads
from mesh.planning.search.tables import Floats, KindTable, Tables
from mesh.planning.search.teams import Teams

ROUNDING = 1 + 4e-13
"""Sums in another order differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan must keep to be of interest; one of them narrows as better plans are found."""

    period_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """What runs layers [start, …): `team` runs the first stage of it, up to `stop`.

    `out_s[k]` = the slowest way out of the team's kind k. Period, latency and the work of a machine
    that all nodes share count the stages behind the first one.
    """

    used: int
    team: int
    start: int
    stop: int
    out_s: tuple[float, ...]
    period_s: float
    latency_s: float
    core_s: float
    stages: Stages


Offer = Callable[[Stages], Limits]
"""Takes a whole pipeline, evaluates it, and returns the limits from now on."""


class Refinement:
    """One search. `by_latency` = latency is made least, under a limit of the period; else the reverse."""

    def __init__(
        self,
        tables: Tables,
        teams: Teams,
        budget: Budget,
        *,
        periods: Heads | None,
        latencies: Heads,
        approaches: tuple[Approach, ...],
        by_latency: bool,
    ) -> None:
        self._tables = tables
        self._teams = teams
        self._space = teams.space
        self._budget = budget
        self._by_latency = by_latency
        self._counting = latencies.counting
        self._rest_period = None if periods is None else _Rest(periods, self._space)
        self._rest_latency = _Rest(latencies, self._space)
        self._approaches = approaches
        self._cores, self._rest_core_s = _one_machine(tables)

    def run(self, limits: Limits, offer: Offer) -> Limits:
        """Offer every pipeline that may improve on the limits. Raises: OutOfBudgetError."""
        self._limits, self._offer = limits, offer
        last = self._tables.layers
        reply = _Tail(
            used=0,
            team=0,
            start=last,
            stop=last,
            out_s=(0.0,) * len(self._space.counts),
            period_s=0.0,
            latency_s=0.0,
            core_s=0.0,
            stages=[],
        )
        self._follow(reply)
        return self._limits

    def _follow(self, tail: _Tail) -> None:
        """Try every team and range before the tail, the most promising first."""
        if not self._counting.open_end and len(tail.stages) >= self._counting.most:
            return
        children: list[tuple[float, int, int, _Tail]] = []
        for team in self._worth_trying(tail):
            children += self._with_team(tail, int(team))
        children.sort(key=lambda child: child[:3])
        for bound, _, start, child in children:
            if bound > self._most():
                return  # the others promise no more
            if start == 0:
                if len(child.stages) >= self._counting.least:
                    self._limits = self._offer(child.stages)
            else:
                self._follow(child)

    def _with_rest(self, period: Floats, count: int, left: Ints, start: Ints) -> Floats:
        """With the heads before; nothing is known of them where the period does not matter."""
        if self._rest_period is None:
            return period
        both: Floats = np.maximum(period, self._rest_period.of(count, left, start))
        return both

    def _keeps(self, period: Floats, latency: Floats) -> NDArray[np.bool_]:
        """Within the limits, but for rounding."""
        limits = self._limits
        return (period <= limits.period_s * ROUNDING) & (latency <= limits.latency_s * ROUNDING)

    def _most(self) -> float:
        most = self._limits.latency_s if self._by_latency else self._limits.period_s
        return most * ROUNDING

    def _worth_trying(self, tail: _Tail) -> Ints:
        """The teams with some range that may improve on the limits, links at their best."""
        space, stop = self._space, tail.start
        teams = space.teams[space.first[tail.used] : space.first[tail.used + 1]]
        self._budget.spend(len(teams) * (stop + 20))
        if not len(teams):
            return teams
        team, start = np.repeat(teams, stop), np.tile(np.arange(stop), len(teams))
        left = space.full - tail.used - team
        count = len(tail.stages) + 1
        begun, which, ends = (
            self._teams.begin(team, start),
            np.arange(len(team)),
            np.full(len(team), stop),
        )
        period = self._teams.period_s(begun, which, ends)
        period = self._with_rest(period, count, left, start)
        latency = self._teams.latency_s(begun, which, ends) + tail.latency_s
        latency += self._rest_latency.of(count, left, start)
        good = self._keeps(period, latency)
        return teams[good.reshape(len(teams), stop).any(axis=1)]

    def _with_team(self, tail: _Tail, team: int) -> list[tuple[float, int, int, _Tail]]:
        """The tails with one stage more, of a team that begins anywhere."""
        self._budget.spend(40 * (tail.start + 10))
        known = self._closed(tail, team)
        if known is None:
            return []
        period_s, latency_s, core_s, hop_core_s = known
        stop, members = tail.start, self._members(team)
        out_s = tuple(
            self._slowest_hop(k, self._members(tail.team), stop) if number else 0.0
            for k, number in enumerate(self._space.digits[team])
        )
        rate, compute, inward = self._stage(members, out_s, stop)
        count, used = len(tail.stages) + 1, tail.used + team
        numbers: Numbers = tuple(map(int, self._space.digits[team]))
        left = np.full(stop, self._space.full - used)
        starts = np.arange(stop)
        with np.errstate(divide="ignore"):
            own = np.where(rate > 0, 1.0 / rate, np.inf)
        own[0] = max(own[0], min(float(self._kind(k).inward[0]) for k, _ in members))
        periods = self._with_rest(np.maximum(own, period_s), count, left, starts)
        core = core_s + hop_core_s + self._core_s(members, stop)
        if self._cores:
            periods = np.maximum(periods, (core + self._rest_core_s[:stop]) / self._cores)
        latencies = latency_s + compute + inward
        bounds = latencies + self._rest_latency.of(count, left, starts)
        nodes_left = self._space.digits[self._space.full - used]
        for approach in self._approaches:
            before = approach.before([k for k, _ in members], nodes_left, stop)
            bounds = np.maximum(bounds, latency_s + compute + before)
        good = self._keeps(periods, bounds)
        objective = bounds if self._by_latency else periods
        return [
            (
                float(objective[start]),
                team,
                int(start),
                _Tail(
                    used=used,
                    team=team,
                    start=int(start),
                    stop=stop,
                    out_s=out_s,
                    period_s=period_s,
                    latency_s=latency_s + float(compute[start]),
                    core_s=float(core[start]),
                    stages=[(numbers, int(start), stop), *tail.stages],
                ),
            )
            for start in np.flatnonzero(good)
        ]

    def _closed(self, tail: _Tail, team: int) -> tuple[float, float, float, float] | None:
        """The tail's figures now that the team before it is known; None where a link is missing."""
        before = self._members(team)
        if not tail.stages:
            leaves_s = [float(self._kind(k).outward[-1]) for k, _ in before]
            slowest_s = max(leaves_s)
            return None if slowest_s == math.inf else (min(leaves_s), slowest_s, 0.0, 0.0)
        rate, slowest_hop_s, quickest_hop_s, served = 0.0, 0.0, math.inf, (0.0, 1.0)
        for k, number in self._members(tail.team):
            table = self._kind(k)
            hops = [float(self._kind(p).hops[k][tail.start]) for p, _ in before]
            own_s = float(table.compute[tail.start, tail.stop])
            processor_s = self._processor_s(k, tail.start, tail.stop)
            pace_s = max(own_s, processor_s, tail.out_s[k], *hops)
            if pace_s == math.inf:
                return None
            rate += number / max(pace_s, 1e-12)
            node = self._tables.kinds[k].first
            if node.node_id == self._tables.problem.gateway:
                served = node.threads * own_s / max(pace_s, 1e-12), node.host_cores
            slowest_hop_s = max(slowest_hop_s, *hops)
            quickest_hop_s = min(quickest_hop_s, *hops)
        is_paid = self._kind(before[0][0]).out_core_s[tail.start] > 0
        hop_core_s = 0.0 if is_paid else quickest_hop_s
        return (
            max(tail.period_s, 1.0 / rate, self._gateway_s(served[0] / rate, served[1])),
            tail.latency_s + slowest_hop_s,
            tail.core_s,
            hop_core_s,
        )

    def _stage(
        self, members: list[tuple[int, int]], out_s: tuple[float, ...], stop: int
    ) -> tuple[Floats, Floats, Floats]:
        """By start: rate with the ways in at their best, slowest compute, slowest way in."""
        rate, compute, inward = np.zeros(stop), np.zeros(stop), np.zeros(stop)
        for k, number in members:
            table = self._kind(k)
            pace = np.maximum(table.pace[:stop, stop], out_s[k])
            rate += np.where(np.isfinite(pace), number / np.maximum(pace, 1e-12), -1e18)
            compute = np.maximum(compute, table.compute[:stop, stop])
            inward = np.maximum(inward, table.inward[:stop])
        return rate, compute, inward

    def _slowest_hop(self, sender: int, receivers: list[tuple[int, int]], boundary: int) -> float:
        if boundary == self._tables.layers:
            return float(self._kind(sender).outward[-1])
        return max(float(self._kind(sender).hops[k][boundary]) for k, _ in receivers)

    def _processor_s(self, kind: int, start: int, stop: int) -> float:
        node, table = self._tables.kinds[kind].first, self._kind(kind)
        core_s = node.threads * table.compute[start, stop]
        core_s += table.in_core_s[start] + table.out_core_s[stop]
        return float(core_s / node.host_cores)

    def _gateway_s(self, core_s: float, cores: float) -> float:
        """What the gateway's node takes at least, where it runs this stage too."""
        request_s = self._tables.problem.gateway_request_cpu_s
        return (core_s + request_s) / cores if core_s and request_s else 0.0

    def _core_s(self, members: list[tuple[int, int]], stop: int) -> Floats:
        """By start: the least work of the stage, whoever of the team does it."""
        works = [
            self._tables.kinds[k].first.threads * self._kind(k).compute[:stop, stop]
            for k, _ in members
        ]
        least: Floats = np.minimum.reduce(works)
        return least

    def _kind(self, kind: int) -> KindTable:
        return self._tables.by_kind[kind]

    def _members(self, team: int) -> list[tuple[int, int]]:
        """The kinds of a team with their numbers."""
        return [(k, int(number)) for k, number in enumerate(self._space.digits[team]) if number]


class _Rest:
    """The least that any head of the nodes left may have, by number of stages behind it."""

    def __init__(self, heads: Heads, space: Space) -> None:
        self._heads = heads
        self._space = space
        self._by_planes: dict[tuple[int, int], Floats] = {}

    def of(self, stages_behind: int, left: Ints, stop: Ints) -> Floats:
        """0 for an empty head; infinite where there is none."""
        counting = self._heads.counting
        low = max(0, counting.least - stages_behind)
        high = counting.most if counting.open_end else counting.most - stages_behind
        if (low, high) not in self._by_planes:
            self._by_planes[low, high] = self._least(low, high)
        rest: Floats = self._by_planes[low, high][left, stop]
        return np.where(stop == 0, 0.0, rest)

    def _least(self, low: int, high: int) -> Floats:
        """Over all heads of some of the nodes."""
        planes = self._heads.value[low : high + 1]
        if not len(planes):
            return np.full(self._heads.value.shape[1:], np.inf)
        least = planes.min(axis=0)
        shape = [count + 1 for count in reversed(self._space.counts)]
        cube = least.reshape(*shape, least.shape[1])
        for axis in range(len(shape)):
            cube = np.minimum.accumulate(cube, axis=axis)
        flat: Floats = cube.reshape(least.shape)
        return flat


def _one_machine(tables: Tables) -> tuple[float, Floats]:
    """The cores of the machine that all nodes share, and the least work of each head on it; 0 = none."""
    machines = {kind.machine for kind in tables.kinds}
    if len(machines) > 1 or "" in machines:
        return 0.0, np.zeros(0)
    times = np.asarray(
        [
            [np.inf if one is None else one * kind.first.threads for one in kind.first.layer_s]
            for kind in tables.kinds
        ]
    )
    cores = max(kind.first.host_cores for kind in tables.kinds)
    least = times.min(axis=0)
    return cores, np.concatenate(([0.0], np.cumsum(np.where(np.isfinite(least), least, 0.0))))
