"""The best heads of pipelines, for every number of used nodes and every boundary at once.

A head is what runs layers [0, stop). Heads of few nodes are extended by every team that is left, over
every range that the windows allow; the least of each is kept. Links count at their best (`tables`),
so what comes out is a lower bound, exact where all links are equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mesh.planning.problem import Problem
from mesh.planning.search.budget import Budget
from mesh.planning.search.space import Ints, Space
from mesh.planning.search.tables import Floats
from mesh.planning.search.teams import Begun, Teams
from mesh.planning.search.weights import Windows

CHUNK = 300_000
"""Steps that are laid out in memory at once."""

Links = list[tuple[int, int, int]]
"""(team, start, stop) of each stage, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How stages are counted: up to `most`, where `open_end` means that many or more."""

    least: int
    most: int
    open_end: bool

    @classmethod
    def of(cls, problem: Problem) -> "Counting":
        if problem.max_stages is not None:
            return cls(least=problem.min_stages, most=problem.max_stages, open_end=False)
        least = problem.min_stages if problem.min_stages > 1 else 0
        return cls(least=least, most=least, open_end=True)

    def after(self, count: int) -> int | None:
        """The count with one stage more; None where that is one too many."""
        if count < self.most:
            return count + 1
        return self.most if self.open_end else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is made least: the period, or with `node_s` given the latency and a little for each node.

    Stages whose period is beyond `limit_s` are dropped, and heads that are beyond `most_s` with the
    least for the layers behind: `rest_s[stop]`, or with prices of nodes `priced_s[stop]` less
    `credit_s[used]` where that is more. Of as many nodes, only the `beam` heads that promise most are
    followed, if given: what is found then is no bound.
    """

    limit_s: float
    most_s: float
    rest_s: Floats
    node_s: float | None = None
    priced_s: Floats | None = None
    credit_s: Floats | None = None
    beam: int | None = None

    def promise(self, figure: Floats, used: Ints, stop: Ints) -> Floats:
        """What heads come to at least as whole pipelines, by the prices of nodes."""
        if self.priced_s is None or self.credit_s is None:
            return figure
        promised: Floats = figure + (self.priced_s[stop] - self.credit_s[used])
        return promised

    def extend(
        self, teams: Teams, value: Floats, begun: Begun, which: Ints, stop: Ints
    ) -> tuple[Ints, Floats]:
        """The figures of heads with one more stage: which are kept, and theirs."""
        kept = np.flatnonzero(teams.within(begun, which, stop, self.limit_s))
        which, stop = which[kept], stop[kept]
        period = teams.period_s(begun, which, stop)
        if self.node_s is None:
            longer = np.maximum(value[which], period)
        else:
            weight = self.node_s * (teams.space.totals[begun.team[which]] + 1 / 64)
            longer = value[which] + (teams.latency_s(begun, which, stop) + weight)
        good = (period <= self.limit_s) & (longer + self.rest_s[stop] <= self.most_s)
        return kept[good], longer[good]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """`value[count, used, stop]`, infinite where no head was found."""

    value: Floats
    counting: Counting
    measure: Measure

    def best(self, required: NDArray[np.bool_]) -> tuple[float, tuple[int, int] | None]:
        """The least figure of a whole pipeline with all required nodes, and its count and used number.

        `required[used]` tells whether they are all in.
        """
        whole = np.where(required[None, :], self.value[:, :, -1], np.inf)
        whole[: self.counting.least] = np.inf
        index = int(whole.argmin())
        count, used = divmod(index, whole.shape[1])
        least = float(whole[count, used])
        return least, None if least == np.inf else (count, used)


def sweep(
    teams: Teams, windows: Windows, counting: Counting, measure: Measure, budget: Budget
) -> Heads:
    """All heads within the windows. Raises: OutOfBudgetError."""
    space, width = teams.space, len(windows.until)
    value = np.full((counting.most + 1, space.size, width), np.inf)
    value[0, 0, 0] = 0.0
    flat = value.reshape(-1)
    for total in range(int(space.totals[-1])):
        for head in _chunks(value, np.flatnonzero(space.totals == total), space, measure):
            count, used, start, team, union = _stages(head, space, counting)
            budget.spend(len(team))
            begun, figure = teams.begin(team, start), value[count, used, start]
            following = np.minimum(count + 1, counting.most)
            row = (following * space.size + union) * width
            for which, stop in _ranges(windows, start, team, union):
                budget.spend(len(which))
                kept, figures = measure.extend(teams, figure, begun, which, stop)
                kept_which, kept_stop = which[kept], stop[kept]
                place = row[kept_which] + kept_stop
                promised = measure.promise(figures, union[kept_which], kept_stop)
                better = (figures < flat[place]) & (promised <= measure.most_s)
                np.minimum.at(flat, place[better], figures[better])
    return Heads(value=value, counting=counting, measure=measure)


_Head = tuple[Ints, Ints, Ints]
_Stage = tuple[Ints, Ints, Ints, Ints, Ints]


def _chunks(value: Floats, used: Ints, space: Space, measure: Measure) -> Iterator[_Head]:
    """The heads of these used numbers: count, used, stop."""
    count, place, stop = np.nonzero(np.isfinite(value[:, used, :]))
    found = used[place]
    if measure.beam is not None and len(found) > measure.beam:
        promised = measure.promise(value[count, found, stop], found, stop)
        best = np.sort(np.argsort(promised, kind="stable")[: measure.beam])
        count, found, stop = count[best], found[best], stop[best]
    pairs = np.cumsum(space.first[found + 1] - space.first[found])
    if not len(found):
        return
    cuts = np.searchsorted(pairs, np.arange(CHUNK // 4, int(pairs[-1]), CHUNK // 4))
    for part in np.split(np.arange(len(found)), cuts):
        yield count[part], found[part], stop[part]


def _stages(head: _Head, space: Space, counting: Counting) -> _Stage:
    """Each head with each team that is left: count, used, start, team, union."""
    count, used, start = head
    if not counting.open_end:
        free = count < counting.most
        count, used, start = count[free], used[free], start[free]
    degrees = space.first[used + 1] - space.first[used]
    which = np.repeat(np.arange(len(used)), degrees)
    before = np.cumsum(degrees) - degrees
    pair = np.arange(len(which)) - before[which] + space.first[used][which]
    return count[which], used[which], start[which], space.teams[pair], space.unions[pair]


def _ranges(windows: Windows, start: Ints, team: Ints, union: Ints) -> Iterator[tuple[Ints, Ints]]:
    """The stops that the windows allow: which stage, stop; some thousands at a time."""
    furthest = np.searchsorted(
        windows.until, windows.until[start] + windows.reach[team], side="right"
    )
    low = np.maximum(start + 1, windows.least[union])
    high = np.minimum(furthest - 1, windows.most[union])
    lengths = np.maximum(high - low + 1, 0)
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(ends, np.arange(CHUNK, int(ends[-1]) if len(ends) else 0, CHUNK))
    for part in np.split(np.flatnonzero(lengths), np.searchsorted(np.flatnonzero(lengths), cuts)):
        some = lengths[part]
        which = np.repeat(part, some)
        offset = np.arange(len(which)) - np.repeat(np.cumsum(some) - some, some)
        yield which, low[which] + offset


def trace(heads: Heads, teams: Teams, end: tuple[int, int]) -> Links:
    """The stages of the best whole pipeline of that count and used number; the first among equals."""
    space, layers = teams.space, heads.value.shape[2] - 1
    links: Links = []
    count, used, stop = *end, layers
    while stop > 0:
        pair = np.flatnonzero(space.unions == used)
        team, before = space.teams[pair], used - space.teams[pair]
        best: tuple[int, int, int] | None = None
        for earlier in _counts_before(heads.counting, count):
            place, start = np.nonzero(np.isfinite(heads.value[earlier][before, :stop]))
            kept, figures = heads.measure.extend(
                teams,
                heads.value[earlier, before[place], start],
                teams.begin(team[place], start),
                np.arange(len(start)),
                np.full(len(start), stop),
            )
            same = kept[figures == heads.value[count, used, stop]]
            if len(same):
                best = earlier, int(team[place[same[0]]]), int(start[same[0]])
                break
        if best is None:
            raise AssertionError("a head of the sweep has no beginning")
        count, team_used, start_layer = best
        links.append((team_used, start_layer, stop))
        used, stop = used - team_used, start_layer
    return links[::-1]


def _counts_before(counting: Counting, count: int) -> list[int]:
    same = [count] if counting.open_end and count == counting.most else []
    return [*([count - 1] if count > 0 else []), *same]
