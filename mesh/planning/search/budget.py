"""How much the planner may work: counted, not timed, so that every node finds the same plan."""

import contextlib
from collections.abc import Iterator

STEPS_PER_S = 20_000_000
"""Steps of a search that one core of a desktop does in a second; a board needs longer for the same."""
DEFAULT_S = 2.0
MOST_PAIRS = 1_500_000
"""Pairs of used nodes and team that a search keeps in memory: 16 bytes each."""


class OutOfBudgetError(Exception):
    """The search ends with what it has; never leaves the planner."""


class Budget:
    """Steps that are left, shared by the parts of one search."""

    __slots__ = ("_left",)

    def __init__(self, seconds: float = DEFAULT_S) -> None:
        self._left = seconds * STEPS_PER_S

    @property
    def left(self) -> float:
        return self._left

    @contextlib.contextmanager
    def at_most(self, share: float) -> Iterator[None]:
        """Within, only that share of what is left may be spent."""
        reserve = self._left * (1 - share)
        self._left -= reserve
        try:
            yield
        finally:
            self._left += reserve

    def spend(self, steps: float) -> None:
        """Raises: OutOfBudgetError before work that the budget does not cover."""
        if steps > self._left:
            raise OutOfBudgetError
        self._left -= steps
