"""What teams take: the nodes of one stage together, for many teams and ranges of layers at once.

A team's figures are put together from two halves of the kinds, so that the tables stay small however
many teams there are. Lower bounds, as in `tables`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mesh.planning.search.space import Ints, Space
from mesh.planning.search.tables import Floats, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Stages of which team and start are known: where their rows lie in the tables of both halves.

    `entry_s` = the quickest way in from the gateway, 0 for stages that begin later: no plan's mean way
    in, which is what the gateway's own link carries, is less.
    """

    team: Ints
    start: Ints
    low: Ints
    high: Ints
    entry_s: Floats


class Teams:
    """Figures by team; `which` picks from stages begun, and `stop` is where each of these ends."""

    __slots__ = (
        "_compute", "_entry", "_half", "_inward", "_last_leave", "_leave", "_rate", "_split", "_width",
        "space",
    )  # fmt: skip

    def __init__(self, tables: Tables, space: Space) -> None:
        self.space = space
        self._width = tables.layers + 1
        self._half = (len(space.counts) + 1) // 2
        self._split = space.steps[self._half] if self._half < len(space.steps) else space.size
        by_kind = tables.by_kind
        self._rate = self._flat([kind.rate for kind in by_kind], _sum)
        self._compute = self._flat([kind.compute for kind in by_kind], _largest)
        self._inward = self._flat([kind.inward for kind in by_kind], _largest)
        entries = [float(kind.inward[0]) for kind in by_kind]
        leaves = [float(kind.outward[-1]) for kind in by_kind]
        self._entry = self._whole(entries, np.minimum)
        self._leave = self._whole(leaves, np.minimum)
        self._last_leave = self._whole(leaves, np.maximum)

    def begin(self, team: Ints, start: Ints) -> Begun:
        high, low = np.divmod(team, self._split)
        return Begun(
            team=team,
            start=start,
            low=(low * self._width + start) * self._width,
            high=(high * self._width + start) * self._width,
            entry_s=np.where(start == 0, self._entry[team], 0.0),
        )

    def within(self, begun: Begun, which: Ints, stop: Ints, limit_s: float) -> NDArray[np.bool_]:
        """Whether their period may keep a limit: quicker than to compute it."""
        least = 0.0 if limit_s == np.inf else (1 - 1e-9) / limit_s if limit_s > 0 else np.inf
        enough: NDArray[np.bool_] = self._rates(begun, which, stop) > least
        return enough

    def period_s(self, begun: Begun, which: Ints, stop: Ints) -> Floats:
        """Infinite where a node of the team cannot run the layers."""
        rate = self._rates(begun, which, stop)
        with np.errstate(divide="ignore"):
            period: Floats = np.where(rate > 0, 1.0 / rate, np.inf)
        period = np.maximum(period, begun.entry_s[which])
        last = np.flatnonzero(stop == self._width - 1)
        period[last] = np.maximum(period[last], self._leave[begun.team[which[last]]])
        return period

    def latency_s(self, begun: Begun, which: Ints, stop: Ints) -> Floats:
        """The slowest node's way in and compute; and the way out, after the last layer."""
        low, high = begun.low[which], begun.high[which]
        compute = np.maximum(self._compute[0].take(low + stop), self._compute[1].take(high + stop))
        inward = np.maximum(
            self._inward[0].take(low // self._width), self._inward[1].take(high // self._width)
        )
        latency: Floats = compute + inward
        last = np.flatnonzero(stop == self._width - 1)
        latency[last] += self._last_leave[begun.team[which[last]]]
        return latency

    def _rates(self, begun: Begun, which: Ints, stop: Ints) -> Floats:
        low = self._rate[0].take(begun.low[which] + stop)
        rate: Floats = low + self._rate[1].take(begun.high[which] + stop)
        return rate

    def _flat(
        self, of_kind: Sequence[Floats], add: Callable[[Floats, Floats, int], Floats]
    ) -> tuple[Floats, Floats]:
        """Tables of the low and of the high half, row by row."""
        counts, half = self.space.counts, self._half
        nothing = np.zeros((1, *of_kind[0].shape))
        low, high = nothing, nothing
        for count, table in zip(counts[:half], of_kind[:half], strict=True):
            low = add(low, table, count)
        for count, table in zip(counts[half:], of_kind[half:], strict=True):
            high = add(high, table, count)
        return low.ravel(), high.ravel()

    def _whole(self, of_kind: Sequence[float], pick: np.ufunc) -> Floats:
        """Of each team's kinds the one that is picked."""
        nothing = np.inf if pick is np.minimum else 0.0
        figures: Floats = np.full(self.space.size, nothing)
        for k, figure in enumerate(of_kind):
            members = self.space.digits[:, k] > 0
            figures[members] = pick(figures[members], figure)
        return figures


def _sum(known: Floats, table: Floats, count: int) -> Floats:
    """The half so far with 0 to count nodes of one more kind: each adds its rate."""
    return np.concatenate([known + number * table for number in range(count + 1)])


def _largest(known: Floats, table: Floats, count: int) -> Floats:
    """… each is waited for."""
    return np.concatenate([known] + [np.maximum(known, table)] * count)
