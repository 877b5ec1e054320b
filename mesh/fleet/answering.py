"""Puts a coordinator's question to the planner: may take seconds, so it is called beside the loop; pure."""

from dataclasses import replace

from mesh.errors import InfeasibleError
from mesh.fleet.plans import as_planned
from mesh.fleet.track import Found, Solve
from mesh.planning import Problem, Solution, explain, solve
from mesh.planning.pieces import Pieces
from mesh.planning.reasons.ranking import broken_wish
from mesh.wire.documents import Plan

EXPLAIN_S = 0.5
"""Of work: a plan is not to wait for its verdict; `mesh plan` says more."""


def answer(question: Solve, pieces: Pieces) -> Found | str:
    """What the planner finds, or the sentence why there is nothing."""
    try:
        problem, solution = solved(question.problem, question.roomy, may_crowd=question.may_crowd)
    except InfeasibleError as error:
        return str(error)
    return Found(
        solution=solution,
        explanation=explain(problem, solution, budget_s=EXPLAIN_S, with_helps=False),
        live=as_it_is(question.problem, pieces, question.live),
    )


def as_it_is(problem: Problem, pieces: Pieces, plan: Plan | None) -> Solution | None:
    """The live plan under today's facts; None where they, or the wishes, do not allow it."""
    known = None if plan is None else as_planned(problem, pieces, plan)
    if plan is None or known is None or broken_wish(problem, known):
        return None
    return replace(known, bottleneck_s=max(known.bottleneck_s, _by_its_shares_s(plan, known)))


def _by_its_shares_s(plan: Plan, known: Solution) -> float:
    """The period that the plan's shares allow: they stay as they were when nodes become slower.

    At the first stage the gateway goes by what is under way, not by shares alone.
    """
    return max(
        (
            one.share * now.pace_s
            for stage, seen in list(zip(plan.stages, known.stages, strict=True))[1:]
            for one in stage.replicas
            for now in seen.replicas
            if now.node_id == one.node_id
        ),
        default=0.0,
    )


def solved(
    problem: Problem, roomy: Problem | None, *, may_crowd: bool = True
) -> tuple[Problem, Solution]:
    """Which of both was solved, `roomy` first where it is given; see `Solve`. Raises: InfeasibleError."""
    if roomy is not None:
        try:
            return roomy, solve(roomy)
        except InfeasibleError:
            if not may_crowd:
                raise
    return problem, solve(problem)
