"""Sweeps and refinements over the whole space of one problem; what is asked of them is decided elsewhere."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mesh.planning.search.approach import Approach, find_approach
from mesh.planning.search.best import EQUAL
from mesh.planning.search.budget import Budget
from mesh.planning.search.prices import Pricing
from mesh.planning.search.refine import Limits, Offer, Refinement
from mesh.planning.search.space import Ints, Space
from mesh.planning.search.starts import Stages
from mesh.planning.search.sweep import Counting, Heads, Measure, sweep, trace
from mesh.planning.search.tables import Floats, Tables
from mesh.planning.search.teams import Begun, Teams
from mesh.planning.search.weights import Weights, windows

NODE = 1e-12
"""Share of a latency that one more node weighs: of equal plans the one with fewer nodes is better."""

BEAM = 100
"""Heads of as many nodes that a quick look follows."""


class Engine:
    """Every method may raise OutOfBudgetError."""

    def __init__(self, tables: Tables, space: Space, weights: Weights, budget: Budget) -> None:
        self._tables = tables
        self._weights = weights
        self._budget = budget
        self._counting = Counting.of(tables.problem)
        self._teams = Teams(tables, space)
        self._complete = _has_required(tables, space)
        self._rest_s = _quickest_rest(tables)
        self.pricing = Pricing(tables, budget)

    def least_period(self, limit_s: float) -> tuple[float, Stages | None]:
        """The shortest period up to the limit, links at their best, and a plan that has it."""
        return self._best(self._periods(limit_s))

    def least_latency(self, limit_s: float, most_s: float) -> Stages | None:
        """Of the plans whose period keeps the limit the quickest to answer, in `most_s`; links at their best."""
        node_s = NODE * (most_s if most_s < math.inf else 1.0)
        _, stages = self._best(self._latencies(limit_s, most_s, node_s))
        return stages if stages and self.latency_of(stages) <= most_s * EQUAL else None

    def low_latency(self, limit_s: float, most_s: float) -> Stages | None:
        """As `least_latency`, but only the most promising beginnings are followed: None proves nothing."""
        _, stages = self._best(self._latencies(limit_s, most_s, 0.0, beam=BEAM))
        return stages if stages and self.latency_of(stages) <= most_s * EQUAL else None

    def refine(self, limits: Limits, offer: Offer, *, by_latency: bool) -> None:
        """Offer all plans within the limits, every link as it is, until none or `offer` has enough."""
        limit_s = limits.period_s * EQUAL
        search = Refinement(
            self._tables,
            self._teams,
            self._budget,
            periods=None if by_latency and limit_s == math.inf else self._periods(limit_s),
            latencies=self._latencies(limit_s, limits.latency_s, 0.0),
            approaches=self._approaches(limit_s, limits.latency_s),
            by_latency=by_latency,
        )
        search.run(limits, offer)

    def _approaches(self, limit_s: float, most_s: float) -> tuple[Approach, ...]:
        """With the prices known, and with none; of no use where no latency is too long."""
        if most_s == math.inf:
            return ()
        prices = self.pricing.at(limit_s, most_s).prices
        self._budget.spend(2 * prices.rest_s.size**2 * len(prices.counts))
        free = replace(prices, of_kind=(0.0,) * len(prices.counts))
        return tuple(find_approach(self._tables, one, limit_s) for one in (prices, free))

    def period_of(self, stages: Stages) -> float:
        """Links at their best."""
        return float(self._teams.period_s(*self._columns(stages)).max())

    def latency_of(self, stages: Stages) -> float:
        """Links at their best."""
        return math.fsum(self._teams.latency_s(*self._columns(stages)))

    def _periods(self, limit_s: float) -> Heads:
        nothing = np.zeros(self._tables.layers + 1)
        return self._sweep(Measure(limit_s=limit_s, most_s=limit_s, rest_s=nothing))

    def _latencies(
        self, limit_s: float, most_s: float, node_s: float, beam: int | None = None
    ) -> Heads:
        prices = self.pricing.at(limit_s, most_s).prices
        # Rounding and the weight of nodes must not drop what just keeps the bound.
        measure = Measure(
            limit_s=limit_s,
            most_s=most_s * (1 + 1e-6),
            rest_s=self._rest_s,
            node_s=node_s,
            priced_s=prices.rest_s,
            credit_s=prices.credit_s(self._teams.space.digits),
            beam=beam,
        )
        return self._sweep(measure)

    def _sweep(self, measure: Measure) -> Heads:
        reach = windows(self._tables, self._weights, self._teams.space, measure.limit_s)
        return sweep(self._teams, reach, self._counting, measure, self._budget)

    def _best(self, heads: Heads) -> tuple[float, Stages | None]:
        figure, end = heads.best(self._complete)
        if end is None:
            return figure, None
        digits = self._teams.space.digits
        stages = trace(heads, self._teams, end)
        return figure, [
            (tuple(map(int, digits[team])), start, stop) for team, start, stop in stages
        ]

    def _columns(self, stages: Stages) -> tuple[Begun, Ints, Ints]:
        steps = self._teams.space.steps
        teams = [sum(map(int.__mul__, team, steps)) for team, _, _ in stages]
        starts, stops = [start for _, start, _ in stages], [stop for _, _, stop in stages]
        begun = self._teams.begin(np.asarray(teams), np.asarray(starts))
        return begun, np.arange(len(stages)), np.asarray(stops)


def _has_required(tables: Tables, space: Space) -> NDArray[np.bool_]:
    """By used number: whether all required nodes are in."""
    required = tables.problem.required
    least = [len(kind) if kind.first.node_id in required else 0 for kind in tables.kinds]
    enough: NDArray[np.bool_] = np.all(space.digits >= np.asarray(least), axis=1)
    return enough


def _quickest_rest(tables: Tables) -> Floats:
    """By boundary: the least that the layers behind it take, each on the node that is best at it."""
    times = [
        [np.inf if one is None else one for one in kind.first.layer_s] for kind in tables.kinds
    ]
    least = np.min(np.asarray(times, np.float64), axis=0)
    rest = np.concatenate((np.cumsum(least[::-1])[::-1], [0.0]))
    rest[:-1] += min(float(kind.outward[-1]) for kind in tables.by_kind)
    quickest: Floats = rest * (1 - 1e-9)
    return quickest
