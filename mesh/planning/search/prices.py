"""A proven bound on every plan's latency, from a price for each kind of node; and what heads lack at least.

With prices p ≥ 0, a plan's latency and the prices of its nodes together are at least what the cheapest
path through the layers costs on which any node may run any number of stages. No plan has more nodes
than there are, so that cost less the prices of all nodes bounds the latency. This holds for any prices
(they are multipliers of "no more nodes than there are"); good ones are found by raising the prices of
what the cheapest path takes too often. Links count at their best (`tables`).
"""

from dataclasses import dataclass
from math import fsum, inf

import numpy as np

from mesh.planning.search.budget import Budget
from mesh.planning.search.space import Ints
from mesh.planning.search.starts import Stages
from mesh.planning.search.tables import Floats, Tables

ROUNDS, MORE_ROUNDS = 40, 10
"""From nothing, and from prices that were good for another limit."""
LEAST_SCALE = 0.02
STEADY_ROUNDS = 4
"""Rounds without a better bound before the steps are halved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """`rest_s[boundary]` = the cheapest path from there to the reply, prices of its nodes included."""

    of_kind: tuple[float, ...]
    rest_s: Floats
    counts: tuple[int, ...]

    @property
    def bound_s(self) -> float:
        """No plan within the limit answers sooner."""
        return float(self.rest_s[0]) - self._all(self.counts)

    def credit_s(self, digits: Ints) -> Floats:
        """By used number: the prices of the nodes left, which the layers behind need not cost."""
        credit: Floats = np.full(len(digits), self._all(self.counts))
        for k, price in enumerate(self.of_kind):
            credit -= digits[:, k] * price
        return credit

    def _all(self, counts: tuple[int, ...]) -> float:
        return fsum(map(float.__mul__, self.of_kind, map(float, counts)))


class Paths:
    """Cheapest paths of stages that keep a limit of the period; a stage is told by its slowest kind.

    Arrays have the axes [rank, start, stop]: kinds by their compute there, the quickest first. A team
    whose slowest node is of some kind has quicker ones only, and what that node lacks of the limit's
    rate they must bring, at the price of the cheapest.
    """

    def __init__(self, tables: Tables, limit_s: float) -> None:
        self._tables = tables
        compute = np.stack([table.compute for table in tables.by_kind])
        seconds = np.stack([_with_transfers(tables, k) for k in range(len(tables.kinds))])
        alone = np.stack([table.pace for table in tables.by_kind]) <= limit_s
        able = np.isfinite(np.stack([table.pace for table in tables.by_kind]))
        self._is_shared = tables.problem.max_replicas != 1 and 0 < limit_s < inf
        self._kind = np.argsort(compute, axis=0, kind="stable")
        seconds = np.take_along_axis(np.where(able, seconds, np.inf), self._kind, axis=0)
        if self._is_shared:
            rate = np.stack([np.maximum(table.rate, 0.0) for table in tables.by_kind])
            counts = np.asarray(tables.counts, np.float64)[:, None, None]
            together = np.cumsum(np.take_along_axis(counts * rate, self._kind, axis=0), axis=0)
            self._rate = np.take_along_axis(rate, self._kind, axis=0)
            self._lack = np.maximum((1 - 1e-9) / limit_s - self._rate, 0.0)
            self._seconds = np.where(together * (1 + 1e-9) * limit_s >= 1, seconds, np.inf)
        else:
            alone = np.take_along_axis(alone, self._kind, axis=0)
            self._seconds = np.where(alone, seconds, np.inf)

    @property
    def steps(self) -> float:
        """What one search for a path costs."""
        return self._seconds.size * (0.4 if self._is_shared else 0.2) + 100.0 * self._tables.layers

    def cheapest(self, prices: Floats) -> tuple[Floats, Floats, Stages]:
        """The cost from each boundary; how often the path takes each kind, and its stages, one node each."""
        cost = self._seconds + prices[self._kind]
        if self._is_shared:
            with np.errstate(divide="ignore", invalid="ignore"):
                each = np.where(self._rate > 0, prices[self._kind] / self._rate, np.inf)
            dearest = np.minimum.accumulate(each, axis=0)
            cost = cost + np.where(self._lack > 0, self._lack * dearest, 0.0)
        least = cost.min(axis=0)
        rest, following = self._walk(least)
        taken = np.zeros(len(prices))
        stages: Stages = []
        start = 0
        while start < self._tables.layers and rest[0] < np.inf:
            stop = int(following[start])
            rank = int(cost[:, start, stop].argmin())
            self._take(taken, prices, rank, start, stop)
            kind = int(self._kind[rank, start, stop])
            stages.append((tuple(int(k == kind) for k in range(len(prices))), start, stop))
            start = stop
        return rest, taken, stages

    def _walk(self, least: Floats) -> tuple[Floats, Ints]:
        last = self._tables.layers
        rest, following = np.zeros(last + 1), np.zeros(last + 1, np.int64)
        for start in range(last - 1, -1, -1):
            through = least[start, start + 1 :] + rest[start + 1 :]
            best = int(through.argmin())
            rest[start], following[start] = through[best], start + 1 + best
        return rest, following

    def _take(self, taken: Floats, prices: Floats, rank: int, start: int, stop: int) -> None:
        kinds = self._kind[: rank + 1, start, stop]
        taken[kinds[-1]] += 1
        if not self._is_shared or not self._lack[rank, start, stop] > 0:
            return
        rates = self._rate[: rank + 1, start, stop]
        each = np.where(rates > 0, prices[kinds] / np.maximum(rates, 1e-300), np.inf)
        cheapest = int(each.argmin())
        taken[kinds[cheapest]] += self._lack[rank, start, stop] / rates[cheapest]


def _with_transfers(tables: Tables, kind: int) -> Floats:
    """What a stage on the kind adds to the latency: the way in, compute, and the way out at the end."""
    table = tables.by_kind[kind]
    seconds: Floats = table.compute + table.inward[:, None]
    seconds[:, -1] += table.outward[-1]
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """The best prices found, and the cheapest paths that take no more nodes than there are."""

    prices: Prices
    plans: tuple[Stages, ...]


def best_prices(
    tables: Tables, limit_s: float, known_s: float, budget: Budget, first: Prices | None = None
) -> Priced:
    """Of a few rounds of prices the ones with the best bound, or the first whose bound is above `known_s`.

    Raises: OutOfBudgetError.
    """
    paths = Paths(tables, limit_s)
    price = np.asarray((0.0,) * len(tables.kinds) if first is None else first.of_kind)
    counts = np.asarray(tables.counts, np.float64)
    best: Prices | None = None
    plans: list[Stages] = []
    scale, since = 1.0, 0
    for _ in range(ROUNDS if first is None else MORE_ROUNDS):
        budget.spend(paths.steps)
        rest, taken, stages = paths.cheapest(price)
        found = Prices(of_kind=tuple(map(float, price)), rest_s=rest, counts=tables.counts)
        if stages and (taken <= counts).all() and stages not in plans:
            plans.append(stages)
        if best is None or found.bound_s > best.bound_s:
            best, since = found, 0
        else:
            since += 1
            scale, since = (scale / 2, 0) if since == STEADY_ROUNDS else (scale, since)
        excess = np.where((price > 0) | (taken > counts), taken - counts, 0.0)
        square = fsum(float(one) ** 2 for one in excess)
        if found.bound_s > known_s or rest[0] == np.inf or square == 0 or scale < LEAST_SCALE:
            break
        goal = known_s if known_s < inf else found.bound_s * 1.1 + 1e-9
        price = np.maximum(price + scale * max(goal - found.bound_s, 0.0) / square * excess, 0.0)
    if best is None:
        raise AssertionError("there is always a first round of prices")
    return Priced(prices=best, plans=tuple(plans))


class Pricing:
    """Prices for one limit after another, each search beginning with the prices of the last."""

    def __init__(self, tables: Tables, budget: Budget) -> None:
        self._tables = tables
        self._budget = budget
        self._last: tuple[float, float, Priced] | None = None

    def at(self, limit_s: float, most_s: float) -> Priced:
        """For plans whose period keeps the limit; a bound beyond `most_s` is enough.

        Raises: OutOfBudgetError.
        """
        if self._last is None or self._last[:2] != (limit_s, most_s):
            first = None if self._last is None else self._last[2].prices
            found = best_prices(self._tables, limit_s, most_s, self._budget, first)
            self._last = limit_s, most_s, found
        return self._last[2]

    def excludes(self, limit_s: float, most_s: float) -> bool:
        """Whether prices prove that no plan whose period keeps the limit answers within `most_s`."""
        return self.at(limit_s, most_s).prices.bound_s > most_s * (1 + 1e-9)
