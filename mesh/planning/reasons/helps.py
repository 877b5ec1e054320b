"""What would help most: each improvement with the figures that a plan would have with it, best first."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.problem import Problem
from mesh.planning.reasons.improvements import Improvement, Kind, improvements
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import broken_wish, times_better
from mesh.planning.search.best import rank
from mesh.planning.solution import Solution

MIN_GAIN = 1.03
"""What promises less is not told: measured figures are not that exact."""

FIRST_SHARE = 0.4
"""Of what is left of the budget, for one question: hard ones leave little to the last, easy ones much."""

MOST_SOLVED = {
    Kind.ANOTHER_NODE: 3,
    Kind.FASTER_NODE: 3,
    Kind.LINK: 2,
    Kind.LATENCY_BOUND: 1,
    Kind.WISH: 5,
    Kind.MEMORY: 4,
    Kind.NODE_LINKS: 3,
}
"""Of each kind, how many are put to the search; the most promising ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """A change, and what the best plan found with it would do."""

    sentence: str
    requests_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gain:
    improvement: Improvement
    plan: Solution
    times: float


def what_would_help(problem: Problem, solution: Solution, questions: Questions) -> tuple[Help, ...]:
    """Only what really helps, the best of each kind."""
    candidates = _promising(problem, solution)
    gains: dict[Kind, _Gain] = {}
    for place, (improvement, estimate) in enumerate(candidates):
        share = max(FIRST_SHARE, 1 / (len(candidates) - place))
        found = questions.best(improvement.problem, share, known=[estimate])
        gain = _gain(problem, solution, improvement, [estimate, *([found] if found else [])])
        best = gains.get(improvement.kind)
        if (
            improvement.sentence(gain.plan)
            and gain.times >= MIN_GAIN
            and (best is None or gain.times > best.times)
        ):
            gains[improvement.kind] = gain
    ranked = sorted(gains.values(), key=lambda gain: -gain.times)
    return tuple(
        Help(
            sentence=gain.improvement.sentence(gain.plan),
            requests_per_s=gain.plan.requests_per_s,
            latency_s=gain.plan.latency_s,
        )
        for gain in ranked
    )


def _promising(problem: Problem, solution: Solution) -> list[tuple[Improvement, Solution]]:
    """The most promising of each kind, by what they make of the plan as it is: first the first of each."""
    tried = [(one, _estimate(problem, solution, one)) for one in improvements(problem, solution)]
    kept: list[tuple[int, tuple[Improvement, Solution]]] = []
    for kind, most in MOST_SOLVED.items():
        of_kind = [pair for pair in tried if pair[0].kind is kind]
        of_kind.sort(key=lambda pair: rank(problem.objective, pair[1]))
        kept += enumerate(of_kind[:most])
    return [pair for _, pair in sorted(kept, key=itemgetter(0))]


def _estimate(problem: Problem, solution: Solution, improvement: Improvement) -> Solution:
    """The given plan under the changed problem; a node that joins serves the stage where it does most."""
    plans = [_evaluated(improvement.problem, plan) for plan in _plans(solution, improvement.joins)]
    known = [plan for plan in plans if plan is not None and _is_kept(problem, plan)]
    return min(known, key=lambda plan: rank(problem.objective, plan), default=solution)


def _plans(solution: Solution, joins: NodeId | None) -> Iterable[Assignment]:
    stages = _as_given(solution)
    yield stages
    if joins is not None:
        for place, (ids, layers) in enumerate(stages):
            yield [*stages[:place], ((*ids, joins), layers), *stages[place + 1 :]]


def _as_given(solution: Solution) -> list[tuple[tuple[NodeId, ...], LayerRange]]:
    return [(stage.node_ids, stage.layers) for stage in solution.stages]


def _evaluated(problem: Problem, plan: Assignment) -> Solution | None:
    try:
        return evaluate(problem, plan)
    except InfeasibleError:
        return None


def _is_kept(problem: Problem, plan: Solution) -> bool:
    return not broken_wish(problem, plan)


def _gain(
    problem: Problem,
    solution: Solution,
    improvement: Improvement,
    plans: list[Solution],
) -> _Gain:
    plan = min(plans, key=lambda one: rank(problem.objective, one))
    # A better plan that needs no change is not the change's merit.
    unchanged = None if improvement.joins in plan.node_ids else _evaluated(problem, _as_given(plan))
    is_free = unchanged is not None and _is_kept(problem, unchanged)
    before = [solution, *([unchanged] if is_free and unchanged is not None else [])]
    times = min(times_better(problem.objective, plan, one) for one in before)
    return _Gain(improvement=improvement, plan=plan, times=times)
