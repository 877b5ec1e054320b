"""A proven bound on every plan's throughput, from a weight for each layer; and which states matter.

With weights w ≥ 0 of layers, a node that runs layers [a, b) at pace p carries w(a, b) / p per second.
In a plan of period T every stage carries w(a, b) / T, so no plan is quicker than
T = w(all layers) / Σ over nodes of the most that each can carry. This holds for any weights (they are
prices of a linear program's dual: every layer at once on every machine, fractions allowed); good ones
are found by raising the weight of layers that no node carries best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mesh.planning.search.space import Ints, Space
from mesh.planning.search.tables import Floats, KindTable, Tables

ROUNDS = 60
SLACK = 1e-9
"""Room for rounding in bounds, as a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """`until[i]` = weight of layers [0, i); `carried[k]` per second and node of kind k, at most.

    `machines` = (kinds, most that their shared machine can carry per second).
    """

    until: Floats
    carried: tuple[float, ...]
    machines: tuple[tuple[tuple[int, ...], float], ...]

    def bound_s(self, counts: tuple[int, ...]) -> float:
        """No plan of that many nodes of each kind has a shorter period."""
        every = np.asarray([counts], np.int64)
        total = float(self.within(every, self.carried, 1.0)[0])
        return float(self.until[-1]) / total if total > 0 else np.inf

    def within(self, digits: Ints, per_node: Sequence[float], limit_s: float) -> Floats:
        """What nodes carry together in one period, for each row of numbers of nodes.

        `per_node[k]` = what one of kind k carries in it.
        """
        together = {k for kinds, _ in self.machines for k in kinds}
        total: Floats = np.zeros(len(digits))
        for k, most in enumerate(per_node):
            if k not in together:
                total += digits[:, k] * most
        for kinds, most_per_s in self.machines:
            shared = np.zeros(len(digits))
            for k in kinds:
                shared += digits[:, k] * per_node[k]
            total += shared if limit_s == np.inf else np.minimum(shared, most_per_s * limit_s)
        return total


def best_weights(tables: Tables) -> Weights:
    """Of a few rounds of weights the ones with the best bound."""
    layer = _first_weights(tables)
    best = _weigh(tables, layer)
    best_s = best.bound_s(tables.counts)
    weights, step = best, 0.5
    for _ in range(ROUNDS):
        change = step * _lack(tables, weights)
        layer = layer * (1 + change * (1 + change / 2))  # exp, but the same bits everywhere
        layer /= np.cumsum(layer)[-1]
        weights = _weigh(tables, layer)
        bound_s = weights.bound_s(tables.counts)
        if bound_s > best_s:
            best, best_s = weights, bound_s
        else:
            step *= 0.85
    return best


def _first_weights(tables: Tables) -> Floats:
    """A layer weighs what all nodes together need for it."""
    rates = np.zeros(tables.layers)
    for kind in tables.kinds:
        seconds = np.asarray([np.inf if one is None else one for one in kind.first.layer_s])
        rates += len(kind) / np.maximum(seconds, 1e-12)
    layer = np.minimum(1.0 / np.maximum(rates, 1e-12), 1e6)
    total = float(np.cumsum(layer)[-1])
    even: Floats = np.full(tables.layers, 1 / tables.layers)
    return layer / total if total > 0 else even


def _weigh(tables: Tables, layer: Floats) -> Weights:
    until = np.concatenate(([0.0], np.cumsum(layer)))
    ranges = until[None, :] - until[:, None]
    carried = tuple(
        max(0.0, float((ranges * table.rate).max(where=table.rate > 0, initial=0.0)))
        for table in tables.by_kind
    )
    return Weights(until=until, carried=carried, machines=_machines(tables, layer))


def _machines(tables: Tables, layer: Floats) -> tuple[tuple[tuple[int, ...], float], ...]:
    """A machine carries no more than all its cores do with the layer that suits them best."""
    names = sorted({kind.machine for kind in tables.kinds if kind.machine})
    found = []
    for name in names:
        kinds = tuple(k for k, kind in enumerate(tables.kinds) if kind.machine == name)
        nodes = [tables.kinds[k].first for k in kinds]
        cores = max(node.host_cores for node in nodes)
        per_core_s = max(
            (
                weight / (seconds * node.threads) if seconds > 0 else np.inf
                for node in nodes
                for weight, seconds in zip(layer, node.layer_s, strict=True)
                if seconds is not None
            ),
            default=0.0,
        )
        found.append((kinds, float(cores * per_core_s)))
    return tuple(found)


def _lack(tables: Tables, weights: Weights) -> Floats:
    """How far each layer is from being carried as much as the rest: the bound's direction."""
    ranges = weights.until[None, :] - weights.until[:, None]
    carried = np.zeros(tables.layers)
    for table, count in zip(tables.by_kind, tables.counts, strict=True):
        start, stop, rate = _best_range(table, ranges)
        carried[start:stop] += count * rate
    mean = float(np.cumsum(carried)[-1]) / len(carried)
    lack: Floats = np.clip((mean - carried) / (mean or 1.0), -1.0, 1.0)
    return lack


def _best_range(table: KindTable, ranges: Floats) -> tuple[int, int, float]:
    values = np.where(table.rate > 0, ranges * table.rate, -1.0)
    start, stop = np.unravel_index(int(values.argmax()), values.shape)
    rate = float(table.rate[start, stop])
    return int(start), int(stop), max(0.0, rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where plans of some period may end a head of layers [0, stop) that used nodes run.

    `least[used]` ≤ stop ≤ `most[used]`: below, the nodes that are left could not run the rest; above,
    the used ones could not have come so far. `reach[team]` is the weight that one stage of it holds.
    """

    until: Floats
    least: Ints
    most: Ints
    reach: Floats


def windows(tables: Tables, weights: Weights, space: Space, limit_s: float) -> Windows:
    """For all plans whose period is at most the limit."""
    last, until = tables.layers, weights.until
    weight = weights.within(space.digits, _per_node(tables, weights, limit_s), limit_s)
    slack = float(until[-1]) * SLACK
    most = np.searchsorted(until, weight + slack, side="right") - 1
    left = weight[::-1]  # what is left of a used number counts down as it counts up
    least = np.searchsorted(until, float(until[-1]) - left - slack, side="left")
    return Windows(
        until=until,
        least=np.clip(least, 0, last),
        most=np.clip(most, 0, last),
        reach=weight + slack,
    )


def _per_node(tables: Tables, weights: Weights, limit_s: float) -> list[float]:
    """What one node of each kind carries in one period, and no more than its longest range.

    A node that has its stage for itself runs a range that it finishes within the period.
    """
    ranges = weights.until[None, :] - weights.until[:, None]
    is_alone = tables.problem.max_replicas == 1
    longest = [
        float(ranges.max(where=table.pace <= limit_s if is_alone else table.rate > 0, initial=0.0))
        for table in tables.by_kind
    ]
    if limit_s == np.inf:
        return longest
    return [min(one * limit_s, most) for one, most in zip(weights.carried, longest, strict=True)]
