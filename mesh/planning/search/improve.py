"""Better plans by small changes, for problems too large to be searched whole; proves nothing.

From a few groupings of the nodes into teams: move a node from one team to another or leave it out,
swap neighbours, part a team, and cut anew each time where the period is shortest. The first change
that helps is taken.
"""

from collections.abc import Callable, Iterator, Sequence

from mesh.planning.search.budget import Budget
from mesh.planning.search.starts import Numbers, Stages, chains, period_table
from mesh.planning.search.tables import Floats, Tables
from mesh.planning.solution import Solution

Offer = Callable[[Stages], Solution | None]

MOST_TEAMS = 12
_HELPS = 1 - 1e-9


def improve(tables: Tables, first: Sequence[Stages], offer: Offer, budget: Budget) -> None:
    """Offer better and better plans until nothing helps; `first` are some to begin with.

    Raises: OutOfBudgetError.
    """
    climb = _Climb(tables, offer, budget)
    teams = [[team for team, _, _ in stages] for stages in first]
    known = [(climb.period_s(some), some) for some in [*_groupings(tables), *teams]]
    for period_s, some in sorted(known):
        climb.run(some, period_s)


def _groupings(tables: Tables) -> Iterator[list[Numbers]]:
    """All nodes in so many teams, every kind spread evenly; and each kind for itself."""
    nodes, limit = sum(tables.counts), _most_replicas(tables)
    for number in range(1, min(nodes, MOST_TEAMS, tables.problem.max_stages or nodes) + 1):
        spread = [
            tuple(count // number + (i < count % number) for count in tables.counts)
            for i in range(number)
        ]
        if all(0 < sum(team) <= limit for team in spread):
            yield spread
    alone = [
        tuple(min(count, limit) if other == k else 0 for other in range(len(tables.counts)))
        for k, count in enumerate(tables.counts)
    ]
    yield alone
    yield alone[::-1]


def _most_replicas(tables: Tables) -> int:
    return tables.problem.max_replicas or sum(tables.counts)


class _Climb:
    """From one grouping upwards; what is better than all before is offered."""

    def __init__(self, tables: Tables, offer: Offer, budget: Budget) -> None:
        self._tables = tables
        self._offer = offer
        self._budget = budget
        self._known: dict[Numbers, Floats] = {}
        self._least_s = float("inf")

    def run(self, teams: list[Numbers], period_s: float) -> None:
        """Take changes that help until there is none."""
        while True:
            for changed in _changes(teams, _most_replicas(self._tables)):
                better_s = self.period_s(changed)
                if better_s < period_s * _HELPS:
                    teams, period_s = changed, better_s
                    break
            else:
                return

    def period_s(self, teams: Sequence[Numbers]) -> float:
        """Of these teams in this order, cut best; infinite where they cannot run."""
        self._budget.spend(len(teams) * (self._tables.layers + 1) ** 2 / 8)
        *_, last = [(float("inf"), []), *chains(self._tables, [self._table(one) for one in teams])]
        period_s, places = last
        if len(places) < len(teams):
            return float("inf")
        if period_s < self._least_s * _HELPS:
            self._least_s = period_s
            self._offer([(team, *place) for team, place in zip(teams, places, strict=True)])
        return period_s

    def _table(self, team: Numbers) -> Floats:
        if team not in self._known:
            self._known[team] = period_table(self._tables, team)
        return self._known[team]


def _changes(teams: list[Numbers], most: int) -> Iterator[list[Numbers]]:
    for i, team in enumerate(teams):
        for k in (k for k, number in enumerate(team) if number):
            yield from _without(teams, i, k, most)
    for i in range(len(teams) - 1):
        yield [*teams[:i], teams[i + 1], teams[i], *teams[i + 2 :]]
    for i, team in enumerate(teams):
        half = tuple(number // 2 for number in team)
        other = tuple(number - one for number, one in zip(team, half, strict=True))
        if sum(half):
            yield [*teams[:i], half, other, *teams[i + 1 :]]


def _without(teams: list[Numbers], i: int, kind: int, most: int) -> Iterator[list[Numbers]]:
    """A node of that kind leaves team i, for each other team or for none."""
    left = _with(teams[i], kind, -1)
    alone = [*teams[:i], left, *teams[i + 1 :]]
    yield [team for team in alone if sum(team)] or [teams[i]]
    for j, other in enumerate(teams):
        if j != i and sum(other) < most:
            moved = [*alone[:j], _with(other, kind, 1), *alone[j + 1 :]]
            yield [team for team in moved if sum(team)]


def _with(team: Numbers, kind: int, more: int) -> Numbers:
    return tuple(number + more * (k == kind) for k, number in enumerate(team))
