"""How long a stage's runs took of late, and when a new figure is worth telling the others; pure."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

RECENT_RUNS = 16
"""How many runs tell what is usual for a slice."""
TOLD_RUNS = 7
"""Of how many the median is told: a node that became slow is to be seen after four."""
FEWEST_RUNS = 3
"""The first runs after loading are slower: so many before a figure is told."""
WORTH_TELLING = 0.05
"""A figure is told anew when it changed by this part …"""
TELL_INTERVAL_S = 1.0
"""… and at most so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One call of a slice, copies included: by the clock, and in core-seconds (0 = not known)."""

    clock_s: float
    processor_s: float = 0.0

    def sustained_s(self, *, threads: int, cores: float) -> float:
        """What the call lasts when calls go on for long.

        Under a CPU quota below its threads a short one mostly falls between two throttlings: by the
        clock it would not show that it takes more than its share.
        """
        if threads > cores and self.processor_s > 0:
            return self.processor_s / cores
        return self.clock_s


class RecentRuns:
    """The last runs of one slice with so many threads, on `cores` at the moment; on its thread alone."""

    def __init__(self, *, threads: int = 1, cores: Callable[[], float] = lambda: math.inf) -> None:
        self._threads = threads
        self._cores = cores
        self._spent: deque[Spent] = deque(maxlen=TOLD_RUNS)
        self.times_s: deque[float] = deque(maxlen=RECENT_RUNS)
        self._told_s: float | None = None
        self._told_at_s = -math.inf

    def add(self, compute_s: float, *, now_s: float, spent: Spent | None = None) -> float | None:
        """Take a run, of which `spent` is what the whole call took; returns the median when it is to be told."""
        self.times_s.append(compute_s)
        self._spent.append(spent or Spent(clock_s=compute_s))
        if len(self.times_s) < FEWEST_RUNS or now_s - self._told_at_s < TELL_INTERVAL_S:
            return None
        cores = self._cores()
        usual_s = median(one.sustained_s(threads=self._threads, cores=cores) for one in self._spent)
        if self._told_s is not None and math.isclose(usual_s, self._told_s, rel_tol=WORTH_TELLING):
            return None
        self._told_s, self._told_at_s = usual_s, now_s
        return usual_s
