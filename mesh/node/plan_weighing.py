"""What `mesh plan` has worked out beside the loop: supposed boards, the plan, its rivals; gathers no facts."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.device.board_list import read_boards
from mesh.device.profile_files import load_profiles
from mesh.fleet.answering import as_it_is, solved
from mesh.fleet.joined import joined
from mesh.fleet.plan_report import Weighed
from mesh.fleet.plans import ModelFacts
from mesh.fleet.what_if import Supposition, rate_range
from mesh.ids import NodeId
from mesh.planning import Problem, explain
from mesh.planning.front import pareto_front
from mesh.wire.documents import Plan
from mesh.wire.planned import LeftOut, PlanRequest

EXPLAINING_S, GLANCING_S = 3.0, 2.5
"""What may be spent on rivals and reasons, with what would help and without: see `solve`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`plan` is explained instead of the best one, where today's facts allow it.

    Else what fits beside it is asked first, which is `roomy`, as a coordinator does. `corrections`
    say what of the problem is not as it was measured. `boards` names the profiles of the nodes that there are; `others` are no part of the problem.
    """

    request: PlanRequest
    facts: ModelFacts
    problem: Problem
    boards: Mapping[NodeId, str]
    others: tuple[LeftOut, ...]
    plan: Plan | None
    roomy: Problem | None = None
    corrections: tuple[str, ...] = ()


def weigh(question: Question) -> Weighed:
    """May take seconds. Raises: UsageError for boards that nobody knows, InfeasibleError."""
    request, facts = question.request, question.facts
    supposition = _supposition(question) if request.add else None
    problem = supposition.problem if supposition is not None else question.problem
    planned = as_it_is(problem, facts.pieces, question.plan)
    if planned is None:
        problem, solution = solved(problem, question.roomy)
    else:
        solution = planned
    explanation = explain(
        problem,
        solution,
        budget_s=EXPLAINING_S if request.helps else GLANCING_S,
        with_helps=request.helps,
    )
    return Weighed(
        name=facts.name,
        model_id=facts.model_id,
        boundaries=facts.pieces.boundaries,
        problem=problem,
        explanation=explanation,
        front=pareto_front(problem, known=explanation.plans) if request.front else (),
        others=question.others,
        is_live=planned is not None,
        with_problem=request.dump_problem,
        supposed=supposition.notes if supposition is not None else (),
        corrections=question.corrections,
        rate_range=rate_range(supposition, solution) if supposition is not None else None,
    )


def _supposition(question: Question) -> Supposition:
    """The problem with the boards that are asked for. Raises: UsageError."""
    profiles = load_profiles()
    return joined(
        question.problem,
        read_boards(question.request.add, profiles),
        question.facts.pieces.loads,
        profiles,
        live_profiles=question.boards,
    )
