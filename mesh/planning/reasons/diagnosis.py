"""Why no plan exists, as one sentence: which constraint, and the smallest change that lets one exist.

A constraint is to blame when there is a plan without it. Several such are alternatives; where no
single one is, the fewest that are to blame together are named. How to search is decided elsewhere.
"""

from collections.abc import Collection, Iterable

from mesh.planning import wording
from mesh.planning.problem import Problem
from mesh.planning.reasons import constraints
from mesh.planning.reasons.constraints import Constraint
from mesh.planning.reasons.hindrance import hindered_nodes
from mesh.planning.reasons.questions import Questions, Search
from mesh.planning.reasons.smallest_change import Change, Possible, smallest_change
from mesh.planning.search.budget import Budget

BUDGET_S = 2.0
MAX_TOLD = 3
"""Alternatives in a sentence."""


def explain_infeasible(
    problem: Problem,
    find: Search,
    *,
    budget: Budget | None = None,
    imposed: Collection[Constraint] = (),
    is_proven: bool = True,
) -> str:
    """What stands in the way of a problem for which `find` has nothing, and what to do.

    To lift an `imposed` constraint is not proposed. No `budget` = one of `BUDGET_S`. Not
    `is_proven`: no plan was found, and there may be one.
    """
    if obvious := _obvious(problem):
        return obvious
    questions = Questions(search=find, budget=budget or Budget(BUDGET_S))
    changes = smallest_changes(problem, questions.any_plan, imposed=imposed)
    is_least = is_proven and not questions.is_open
    none = "no plan" if is_proven else "no plan was found that"
    return _sentence(problem, changes, none=none, is_least=is_least)


def smallest_changes(
    problem: Problem, possible: Possible, *, imposed: Collection[Constraint] = ()
) -> tuple[tuple[Change, ...], ...]:
    """Alternatives, each the changes that are to be made together; empty where nothing helps."""
    active = [
        one for one in Constraint if one not in imposed and constraints.is_active(one, problem)
    ]
    alone = [smallest_change(one, problem, possible) for one in active]
    if any(alone):
        return tuple((change,) for change in alone if change is not None)
    together = _to_blame_together(problem, active, possible)
    return (_one_after_the_other(problem, together, possible),) if together else ()


def _to_blame_together(
    problem: Problem, active: list[Constraint], possible: Possible
) -> list[Constraint]:
    """As few constraints as leave a plan when all of them are lifted; wishes rather than facts."""
    blamed = list(active)
    if possible(_without(blamed, problem)) is None:
        return []
    for constraint in reversed(active):
        fewer = [one for one in blamed if one is not constraint]
        if possible(_without(fewer, problem)) is not None:
            blamed = fewer
    return blamed


def _without(lifted: Iterable[Constraint], problem: Problem) -> Problem:
    for constraint in lifted:
        problem = constraints.without(constraint, problem)
    return problem


def _one_after_the_other(
    problem: Problem, together: list[Constraint], possible: Possible
) -> tuple[Change, ...]:
    """The smallest change of each, given those before and as if the ones after it were lifted.

    The latency bound comes last, for its smallest change depends on all others.
    """
    order = sorted(together, key=lambda one: one is Constraint.LATENCY_BOUND)
    changes: list[Change] = []
    for place, constraint in enumerate(order):
        rest = order[place + 1 :]
        change = smallest_change(constraint, _without(rest, problem), possible)
        if change is None:
            return ()
        problem = change.apply(problem)
        changes.append(change)
    return tuple(changes)


def _sentence(
    problem: Problem, alternatives: tuple[tuple[Change, ...], ...], *, none: str, is_least: bool
) -> str:
    blamed = list(dict.fromkeys(one.constraint for changes in alternatives for one in changes))
    if not blamed:
        known = "that is enough is known" if is_least else "is known within the planner's budget"
        return f"{none} keeps every constraint, and no change {known}: add a node, or ask for less"
    facts_first = sorted(blamed[:MAX_TOLD], key=list(Constraint).index, reverse=True)
    predicates = [constraints.predicate(one, problem) for one in facts_first]
    clauses = ["; and ".join(one.clause for one in changes) for changes in alternatives[:MAX_TOLD]]
    perhaps = "" if is_least else " (less may be enough: the planner's budget did not tell)"
    return f"{none} {wording.listed(predicates)}: {'; or '.join(clauses)}{perhaps}"


def _obvious(problem: Problem) -> str:
    """What needs no search to be seen."""
    if not problem.nodes:
        return "no node can take part: start one, or wait until it is ready"
    if problem.min_stages > len(problem.nodes):
        return (
            f"{problem.min_stages} stages need as many nodes, and there are {len(problem.nodes)}: "
            "ask for fewer stages or add nodes"
        )
    if problem.min_stages > problem.layers:
        return (
            f"the model can be cut into at most {problem.layers} stages, not {problem.min_stages}: "
            "ask for fewer stages"
        )
    return _gateway_unlinked(problem) or _nobody_private(problem) or _required_hindered(problem)


def _gateway_unlinked(problem: Problem) -> str:
    gateway, ids = problem.gateway, constraints.node_ids(problem)
    if gateway is None or gateway in ids:
        return ""
    name = problem.label(gateway)
    if not any((gateway, node_id) in problem.links for node_id in ids):
        return f"there is no link from {name}, where requests come in, to any node: connect it"
    if not any((node_id, gateway) in problem.links for node_id in ids):
        return f"there is no link from any node to {name}, where replies go out: connect it"
    return ""


def _nobody_private(problem: Problem) -> str:
    if not problem.private_layers or problem.private_nodes & set(constraints.node_ids(problem)):
        return ""
    return (
        f"{constraints.private_part(problem)} may run only on nodes of their owner, and none of "
        "these can take part: start one, or keep nothing private"
    )


def _required_hindered(problem: Problem) -> str:
    hindered = hindered_nodes(problem)
    for node_id in sorted(problem.required):
        name = f"{problem.label(node_id)} must take part, but "
        if node_id not in constraints.node_ids(problem):
            return f"{name}is not among the nodes that can: start it, or do not require it"
        if node_id in hindered:
            return f"{name}{hindered[node_id].reason}: mend that, or do not require it"
    return ""
