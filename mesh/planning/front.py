"""The trade of throughput for latency: plans of which none is beaten in both, as exact points of the front."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mesh.planning.problem import Objective, Problem
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import broken_wish
from mesh.planning.search.budget import Budget
from mesh.planning.solution import Solution
from mesh.planning.solver import find

MOST_POINTS = 16
BUDGET_S = 5.0
JUST_BELOW = 1 - 1e-9
"""Of a latency: further below it than the search takes figures for equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """Two neighbouring points, between which no plan answers within `searched_s`."""

    low: Solution
    high: Solution
    searched_s: float

    @property
    def width_s(self) -> float:
        return self.high.latency_s - self.searched_s


def pareto_front(
    problem: Problem,
    *,
    known: Sequence[Solution] = (),
    budget_s: float = BUDGET_S,
    most: int = MOST_POINTS,
) -> tuple[Solution, ...]:
    """From the plan that answers soonest to the one of most throughput: latency and throughput rise.

    All points where there are at most so many (2 or more), else that many, spread over the
    latencies; each is optimal at its latency, or has its gap. Empty where there is no plan. No
    point is worse than a plan that is `known`; these need not keep the constraints.
    """
    questions = Questions(search=find, budget=Budget(budget_s))
    quickest = questions.best(replace(problem, objective=Objective.LATENCY), 0.2, known=known)
    fastest = questions.best(replace(problem, objective=Objective.THROUGHPUT), 0.2, known=known)
    ends = [one for one in (quickest, fastest) if one is not None]
    points = _unbeaten(ends)
    gaps = [_Gap(low=a, high=b, searched_s=a.latency_s) for a, b in pairwise(points)]
    while gaps and len(points) < most:
        gap = max(gaps, key=lambda one: one.width_s)
        gaps.remove(gap)
        found = _between(problem, gap, questions, [*known, *points])
        gaps += found
        points = _unbeaten([*ends, *points, *(one.high for one in found)])
    return tuple(_unbeaten([*points, *_unproven(problem, known)]))


def _unproven(problem: Problem, plans: Sequence[Solution]) -> list[Solution]:
    """Those that keep the constraints; they were proven, if at all, to be something else."""
    kept = (one for one in plans if not broken_wish(problem, one))
    return [replace(one, optimal=False, gap=1.0) for one in kept]


def _between(
    problem: Problem, gap: _Gap, questions: Questions, known: list[Solution]
) -> list[_Gap]:
    """The gap parted at a point in its middle or, with none in its lower half, at its last point."""
    last_s = gap.high.latency_s * JUST_BELOW
    for bound_s in ((gap.searched_s + gap.high.latency_s) / 2, last_s):
        if not gap.searched_s < bound_s <= last_s:
            continue
        bounded = replace(problem, objective=Objective.THROUGHPUT, latency_bound_s=bound_s)
        point = questions.best(bounded, 0.1, known=known)
        if point is not None and _is_inside(gap, point):
            return [
                _Gap(low=gap.low, high=point, searched_s=gap.searched_s),
                _Gap(low=point, high=gap.high, searched_s=bound_s),
            ]
        gap = replace(gap, searched_s=bound_s)
    return []


def _is_inside(gap: _Gap, point: Solution) -> bool:
    return (
        gap.low.latency_s < point.latency_s < gap.high.latency_s * JUST_BELOW
        and gap.high.bottleneck_s < point.bottleneck_s * JUST_BELOW
        and point.bottleneck_s < gap.low.bottleneck_s * JUST_BELOW
    )


def _unbeaten(plans: list[Solution]) -> list[Solution]:
    """By rising latency, each with more throughput than all that answer sooner."""
    kept: list[Solution] = []
    least_s = math.inf
    for plan in sorted(plans, key=lambda one: (one.latency_s, one.bottleneck_s)):
        if plan.bottleneck_s < least_s * JUST_BELOW or not kept:
            kept.append(plan)
            least_s = plan.bottleneck_s
    return kept
