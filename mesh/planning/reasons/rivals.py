"""What a plan is weighed against: the best node alone, the best replicas of the whole, the best pipeline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.evaluation import evaluate
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.reasons.constraints import Constraint, node_ids
from mesh.planning.reasons.diagnosis import explain_infeasible
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.ranking import broken_wish
from mesh.planning.search.best import EQUAL, rank
from mesh.planning.search.budget import Budget
from mesh.planning.solution import Solution

AMPLE_S = 1e6
AS_GOOD = 1.001
"""Figures that differ by less show as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """The best plan of each form, whatever split was asked for; None and the reason where there is none.

    `single` is one node, `replicas` two or more that run the whole model each, `pipeline` two
    stages or more, which may be replicated themselves.
    """

    single: Solution | None
    replicas: Solution | None
    pipeline: Solution | None
    why_no_single: str
    why_no_replicas: str
    why_no_pipeline: str


def find_rivals(problem: Problem, known: Solution, questions: Questions) -> Rivals:
    """`known` is not sought again where it is the optimum of its form."""
    single = _best_single(problem)
    replicas = _best_replicas(problem, known, single, questions)
    pipeline = _best_pipeline(problem, known, questions)
    return Rivals(
        single=single,
        replicas=replicas,
        pipeline=pipeline,
        why_no_single="" if single else _why_no_single(problem),
        why_no_replicas="" if replicas else _why_no_replicas(problem),
        why_no_pipeline="" if pipeline else _why_no_pipeline(problem, questions),
    )


def standing_for(problem: Problem, chosen: Solution, rivals: Rivals) -> Rivals:
    """The rivals, but for one of the chosen plan's own form that is no better: the chosen one stands for it."""
    if len(chosen.stages) > 1:
        return replace(rivals, pipeline=_either(problem, chosen, rivals.pipeline))
    if len(chosen.node_ids) > 1:
        return replace(rivals, replicas=_either(problem, chosen, rivals.replicas))
    return replace(rivals, single=_either(problem, chosen, rivals.single))


def _either(problem: Problem, chosen: Solution, rival: Solution | None) -> Solution | None:
    """With the rival's proof, as far as it goes for the chosen plan."""
    if rival is None:
        return None
    (ours, our_other), (least, other) = (rank(problem.objective, one) for one in (chosen, rival))
    if ours > least * AS_GOOD or our_other > other * AS_GOOD:
        return rival
    if ours <= least * EQUAL:
        return replace(chosen, optimal=rival.optimal, gap=rival.gap)
    return replace(chosen, optimal=False, gap=1 - least * (1 - rival.gap) / ours)


def _why_no_single(problem: Problem) -> str:
    """To try each node is quick, so that no budget is needed."""
    alone = replace(problem, min_stages=1, max_stages=1, max_replicas=1)
    return explain_infeasible(
        alone,
        _search_alone,
        budget=Budget(AMPLE_S),
        imposed=(Constraint.SPLIT, Constraint.STAGE_LIMIT),
    )


def _search_alone(
    problem: Problem,
    _: Budget,
    /,
    *,
    known: Sequence[Solution] = (),  # noqa: ARG001
) -> Solution | None:
    """As `questions.Search`; what is known needs no budget."""
    return _best_single(problem)


def _why_no_replicas(problem: Problem) -> str:
    if problem.max_replicas == 1:
        return "at most one node per stage was asked for"
    if len(problem.nodes) < 2:
        return "there is only one node"
    return "no two nodes can run the whole model and meet the constraints"


def _why_no_pipeline(problem: Problem, questions: Questions) -> str:
    if problem.max_stages == 1:
        return "only one stage was asked for"
    pipeline = replace(problem, min_stages=max(2, problem.min_stages))
    return explain_infeasible(
        pipeline, questions.search, budget=questions.budget, imposed=(Constraint.SPLIT,)
    )


def _best_single(problem: Problem) -> Solution | None:
    """By trying each node: exact, and quick; whatever split was asked for."""
    return _best(problem, (_whole(problem, (node_id,)) for node_id in node_ids(problem)))


def _best_replicas(
    problem: Problem,
    known: Solution,
    single: Solution | None,
    questions: Questions,
) -> Solution | None:
    """Where one node is the best of one stage, by trying all pairs and letting the best one grow."""
    if problem.max_replicas == 1 or len(problem.nodes) < 2:
        return None
    if known.optimal and len(known.stages) == 1 and len(known.node_ids) > 1:
        return known
    one_stage = replace(problem, min_stages=1, max_stages=1)
    found = questions.best(one_stage, 0.4, known=[single] if single else ())
    if found is not None and len(found.node_ids) > 1:
        return found
    grown = _grown(problem, _best_pair(problem))
    # One node alone is the best of one stage, so that replicas are bounded by it.
    bound = found or single
    if grown is None or bound is None:
        return grown
    ours, least = rank(problem.objective, grown)[0], rank(problem.objective, bound)[0]
    gap = 1 - least * (1 - bound.gap) / ours if ours > 0 else 0.0
    return replace(grown, optimal=gap <= 0, gap=max(0.0, gap))


def _best_pair(problem: Problem) -> Solution | None:
    """Of nodes that are alike for this, two are enough."""
    able = [node for node in problem.nodes if _whole(problem, (node.node_id,)) is not None]
    pairs = combinations(sorted(_first_of_alike(problem, able, most=2)), 2)
    return _best(problem, (_whole(problem, pair) for pair in pairs))


def _grown(problem: Problem, plan: Solution | None) -> Solution | None:
    """With one node more, and again, as long as that is better."""
    while plan is not None and len(plan.node_ids) < (problem.max_replicas or len(problem.nodes)):
        others = [node for node in problem.nodes if node.node_id not in plan.node_ids]
        more = [(*plan.node_ids, one) for one in _first_of_alike(problem, others, most=1)]
        longer = _best(problem, (_whole(problem, ids) for ids in more))
        if longer is None or rank(problem.objective, longer) >= rank(problem.objective, plan):
            return plan
        plan = longer
    return plan


def _first_of_alike(problem: Problem, nodes: Iterable[PlanNode], *, most: int) -> list[NodeId]:
    """At most so many of nodes that differ in nothing that matters to the whole model on each."""
    taken: dict[tuple[object, ...], list[NodeId]] = {}
    for node in sorted(nodes, key=lambda node: node.node_id):
        gateway = problem.gateway or NodeId("")
        kind = (
            replace(node, node_id=NodeId(""), name="", unable=""),
            node.node_id == gateway,
            node.node_id in problem.required | problem.private_nodes,
            problem.links.get((gateway, node.node_id)),
            problem.links.get((node.node_id, gateway)),
        )
        alike = taken.setdefault(kind, [])
        if len(alike) < most:
            alike.append(node.node_id)
    return [node_id for alike in taken.values() for node_id in alike]


def _best_pipeline(problem: Problem, known: Solution, questions: Questions) -> Solution | None:
    if problem.max_stages == 1 or problem.layers < 2 or len(problem.nodes) < 2:
        return None
    if known.optimal and len(known.stages) > 1 and problem.min_stages <= 2:
        return known
    return questions.best(replace(problem, min_stages=2), 0.7, known=[known])


def _best(problem: Problem, plans: Iterator[Solution | None]) -> Solution | None:
    kept = [one for one in plans if one is not None and not _breaks(problem, one)]
    best = min(kept, key=lambda one: (rank(problem.objective, one), one.node_ids), default=None)
    return None if best is None else replace(best, optimal=True, gap=0.0)


def _breaks(problem: Problem, plan: Solution) -> bool:
    return bool(broken_wish(replace(problem, min_stages=1, max_stages=None), plan))


def _whole(problem: Problem, ids: tuple[NodeId, ...]) -> Solution | None:
    """The whole model on each of these nodes."""
    try:
        return evaluate(problem, [(ids, LayerRange(start=0, stop=problem.layers))])
    except InfeasibleError:
        return None
