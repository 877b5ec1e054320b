"""Puts changed problems to the search, all on one budget of work; what is asked is decided elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mesh.errors import InfeasibleError
from mesh.planning.problem import Objective, Problem
from mesh.planning.search.budget import STEPS_PER_S, Budget, OutOfBudgetError
from mesh.planning.search.kinds import kinds_of
from mesh.planning.solution import Solution


class Search(Protocol):
    """The search itself, handed in: `solver.find`."""

    def __call__(
        self, problem: Problem, budget: Budget, /, *, known: Sequence[Solution] = ()
    ) -> Solution | None:
        """None = no plan. Raises: InfeasibleError where the budget did not tell."""


BASE_S, LAYER_S = 2e-3, 6e-5
"""What a question takes before the search counts its steps: so much, and for each layer of each kind."""


@dataclass(slots=True, kw_only=True)
class Questions:
    """`is_open`: some question found no plan within its part of the budget, and there may be one."""

    search: Search
    budget: Budget
    is_open: bool = False

    def best(
        self, problem: Problem, share: float = 1.0, *, known: Sequence[Solution] = ()
    ) -> Solution | None:
        """The best plan that this share of what is left finds; None where it finds none.

        The search begins with plans that are `known`: they need not keep the constraints.
        """
        with self.budget.at_most(share):
            try:
                self.budget.spend(_preparation_s(problem) * STEPS_PER_S)
                return self.search(problem, self.budget, known=known)
            except (InfeasibleError, OutOfBudgetError):
                self.is_open = True
                return None

    def any_plan(self, problem: Problem, share: float = 0.2) -> Solution | None:
        """The plan that answers soonest, a plain pipeline where possible: the easiest to find."""
        most = problem.max_replicas if problem.required else 1
        easy = replace(problem, objective=Objective.LATENCY, max_replicas=most)
        return self.best(easy, share)


def _preparation_s(problem: Problem) -> float:
    return BASE_S + LAYER_S * len(kinds_of(problem)) * problem.layers
