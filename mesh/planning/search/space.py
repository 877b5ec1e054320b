"""Which nodes are used, as one number: how many of each kind; and the teams that may come on top.

A `used` number counts kind k in steps of `steps[k]`. A team, the nodes of one stage, is such a number
too, so using a team's nodes is adding two numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from mesh.planning.search.budget import MOST_PAIRS

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All used numbers, and for each the teams of the nodes that are left.

    `digits[used, kind]`, `totals[used]` = nodes in it. The pairs of used number s are
    `teams[first[s]:first[s + 1]]` with `unions` = s + team.
    """

    counts: tuple[int, ...]
    steps: tuple[int, ...]
    digits: Ints
    totals: Ints
    first: Ints
    teams: Ints
    unions: Ints

    @property
    def size(self) -> int:
        return len(self.totals)

    @property
    def full(self) -> int:
        return self.size - 1


def count_pairs(counts: Sequence[int], max_replicas: int | None) -> int:
    """How many pairs a space would have, at least; exact for any team and for single nodes."""
    if max_replicas == 1:
        size = prod(count + 1 for count in counts)
        return sum(size // (count + 1) * count for count in counts)
    return prod(comb(count + 2, 2) for count in counts)


def build_space(counts: Sequence[int], max_replicas: int | None) -> Space | None:
    """None where it would be too large to search."""
    if count_pairs(counts, max_replicas) > MOST_PAIRS:
        return None
    sizes = [count + 1 for count in counts]
    steps = tuple(prod(sizes[:k]) for k in range(len(sizes)))
    every = np.arange(prod(sizes), dtype=np.int64)
    digits = np.stack([every // step % size for step, size in zip(steps, sizes, strict=True)], 1)
    totals = digits.sum(axis=1)
    if max_replicas == 1:
        used, teams = _single_nodes(digits, steps, counts)
    else:
        used, teams = _all_teams(steps, counts)
        kept = (totals[teams] > 0) & (totals[teams] <= (max_replicas or totals[-1]))
        used, teams = used[kept], teams[kept]
    order = np.lexsort((teams, used))
    used, teams = used[order], teams[order]
    return Space(
        counts=tuple(counts),
        steps=steps,
        digits=digits,
        totals=totals,
        first=np.searchsorted(used, np.arange(len(every) + 1)),
        teams=teams,
        unions=used + teams,
    )


def _single_nodes(digits: Ints, steps: Sequence[int], counts: Sequence[int]) -> tuple[Ints, Ints]:
    used = [np.flatnonzero(digits[:, kind] < count) for kind, count in enumerate(counts)]
    teams = [np.full(len(some), step) for some, step in zip(used, steps, strict=True)]
    return np.concatenate(used), np.concatenate(teams)


def _all_teams(steps: Sequence[int], counts: Sequence[int]) -> tuple[Ints, Ints]:
    """Every used number with every team that fits beside it, the empty one included."""
    used, teams = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for step, count in zip(steps, counts, strict=True):
        both = [(s, t) for s in range(count + 1) for t in range(count + 1 - s)]
        some, others = np.asarray(both, np.int64).T * step
        used = (used[:, None] + some[None, :]).ravel()
        teams = (teams[:, None] + others[None, :]).ravel()
    return used, teams
