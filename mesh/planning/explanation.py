"""Why a plan is the plan: what it was weighed against, who is left out and why, and what would help.

Values only: the sentences are those of `verdict`, `left_out` and `helps`; laying them out is for the
command line.
"""

from dataclasses import dataclass, replace

from mesh.planning.problem import Problem
from mesh.planning.reasons.diagnosis import explain_infeasible
from mesh.planning.reasons.helps import Help, what_would_help
from mesh.planning.reasons.left_out import LeftOut, left_out_nodes
from mesh.planning.reasons.limited import Limited, limited_nodes
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import broken_wish, is_better
from mesh.planning.reasons.rivals import find_rivals, standing_for
from mesh.planning.reasons.verdict import best_verdict, given_verdict
from mesh.planning.search.best import EQUAL, rank
from mesh.planning.search.budget import Budget
from mesh.planning.solution import Solution
from mesh.planning.solver import find

BUDGET_S = 3.0
HELPS_OPEN = "what would help most is not worked out in full: the planner's budget ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a plan was weighed against; where one of the best is None, its `why_no_…` says why.

    `best_replicas` are two nodes or more with the whole model each; `best_pipeline` has two stages
    or more, which may be replicated. `helps` has what would help the best plan most first. A given
    plan that is found to be the best is `chosen` with that proof. `notes` say where the budget ended.
    """

    chosen: Solution
    best_single: Solution | None
    best_pipeline: Solution | None
    why_no_single: str
    why_no_pipeline: str
    left_out: tuple[LeftOut, ...]
    limited: tuple[Limited, ...]
    verdict: str
    best_replicas: Solution | None = None
    why_no_replicas: str = ""
    helps: tuple[Help, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def plans(self) -> tuple[Solution, ...]:
        """All that it compares."""
        rivals = (self.best_single, self.best_replicas, self.best_pipeline)
        return (self.chosen, *(one for one in rivals if one is not None))


def explain(
    problem: Problem, solution: Solution, *, budget_s: float = BUDGET_S, with_helps: bool = True
) -> Explanation:
    """Compare a solution of the problem, found or given, with what else could be done.

    `helps` are sought on what the rest leaves of the budget.
    """
    questions = Questions(search=find, budget=Budget(budget_s))
    with questions.budget.at_most(0.5):
        best = _best(problem, solution, questions)
    is_best = best is not None and _is_as_good(problem, solution, best)
    chosen = replace(solution, optimal=best.optimal, gap=best.gap) if best and is_best else solution
    with questions.budget.at_most(0.4):
        known = chosen if is_best or best is None else best
        rivals = standing_for(problem, chosen, find_rivals(problem, known, questions))
    with questions.budget.at_most(0.3):
        left_out = left_out_nodes(problem, chosen, questions, is_best=is_best)
        why_none = "" if best else _why_none(problem, questions)
    questions.is_open = False
    helps = what_would_help(problem, best, questions) if with_helps and best else ()
    return Explanation(
        chosen=chosen,
        best_single=rivals.single,
        best_replicas=rivals.replicas,
        best_pipeline=rivals.pipeline,
        why_no_single=rivals.why_no_single,
        why_no_replicas=rivals.why_no_replicas,
        why_no_pipeline=rivals.why_no_pipeline,
        left_out=left_out,
        limited=limited_nodes(problem),
        verdict=best_verdict(problem, chosen, rivals)
        if is_best
        else given_verdict(problem, chosen, best, why_none),
        helps=helps,
        notes=(HELPS_OPEN,) if questions.is_open else (),
    )


def _best(problem: Problem, solution: Solution, questions: Questions) -> Solution | None:
    """The best plan that is known; what the search itself has found is not sought again."""
    if solution.optimal or solution.gap < 1:
        return solution
    known = None if broken_wish(problem, solution) else solution
    return questions.best(problem, known=[solution]) or known


def _why_none(problem: Problem, questions: Questions) -> str:
    is_proven = not questions.is_open
    return explain_infeasible(problem, find, budget=questions.budget, is_proven=is_proven)


def _is_as_good(problem: Problem, solution: Solution, best: Solution) -> bool:
    """In the figure that counts, and then in the other one."""
    if broken_wish(problem, solution) or is_better(problem.objective, best, solution):
        return False
    (figure, other), (least, lesser) = (rank(problem.objective, one) for one in (solution, best))
    return figure < least or other <= lesser * EQUAL
