"""The smallest change of one constraint that lets a plan exist, by bisection on the search itself.

Each is exact: a byte, a tenth of a percent, a stage, a piece or a link less, and the search finds
no plan. Which constraint to change is decided elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.problem import Problem
from mesh.planning.reasons import constraints
from mesh.planning.reasons.constraints import Constraint
from mesh.planning.reasons.least_memory import least_memory
from mesh.planning.reasons.limited import limited_nodes
from mesh.planning.solution import Solution

Possible = Callable[[Problem], Solution | None]
"""Some plan that keeps every constraint; None = there is none, or none was found."""

MAX_WAYS_TRIED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`apply` makes the change, after which there is a plan; `clause` says what to do."""

    constraint: Constraint
    apply: Callable[[Problem], Problem]
    clause: str


def smallest_change(constraint: Constraint, problem: Problem, possible: Possible) -> Change | None:
    """None where there is no plan even without the constraint."""
    if possible(constraints.without(constraint, problem)) is None:
        return None
    return _SMALLEST[constraint](problem, possible)


def _replaced(problem: Problem, **fields: Any) -> Problem:
    return replace(problem, **fields)


def _latency_bound(problem: Problem, possible: Possible) -> Change | None:
    quickest = possible(constraints.without(Constraint.LATENCY_BOUND, problem))
    if quickest is None:
        return None
    return Change(
        constraint=Constraint.LATENCY_BOUND,
        apply=partial(_replaced, latency_bound_s=quickest.latency_s),
        clause=f"raise the latency bound to at least {wording.duration_at_least(quickest.latency_s)}",
    )


def _split(problem: Problem, possible: Possible) -> Change:
    low, high = 1, problem.min_stages  # there is a plan of `low`, none of `high`
    while high - low > 1:
        middle = (low + high) // 2
        found = possible(replace(problem, min_stages=middle))
        low, high = (low, middle) if found is None else (len(found.stages), high)
    fewer = "one stage" if low == 1 else f"{low} stages"
    return Change(
        constraint=Constraint.SPLIT,
        apply=partial(_replaced, min_stages=low),
        clause=f"ask for {fewer} instead of {problem.min_stages}",
    )


def _stage_limit(problem: Problem, possible: Possible) -> Change:
    low, high = problem.max_stages or 1, min(len(problem.nodes), problem.layers)
    while high - low > 1:
        middle = (low + high) // 2
        found = possible(replace(problem, max_stages=middle))
        low, high = (middle, high) if found is None else (low, len(found.stages))
    return Change(
        constraint=Constraint.STAGE_LIMIT,
        apply=partial(_replaced, max_stages=high),
        clause=f"allow {high} stages",
    )


def _required(problem: Problem, possible: Possible) -> Change:
    kept = _kept(problem, possible)
    names = [problem.label(node_id) for node_id in sorted(problem.required - kept)]
    return Change(
        constraint=Constraint.REQUIRED,
        apply=partial(_replaced, required=kept),
        clause=f"do not require {wording.listed(names)}",
    )


def _kept(problem: Problem, possible: Possible) -> frozenset[NodeId]:
    """Most of the required nodes: all but one where that is enough, else as many as go in turn."""
    for dropped in sorted(problem.required):
        fewer = problem.required - {dropped}
        if possible(replace(problem, required=fewer)) is not None:
            return fewer
    kept: frozenset[NodeId] = frozenset()
    for node_id in sorted(problem.required):
        if possible(replace(problem, required=kept | {node_id})) is not None:
            kept |= {node_id}
    return kept


def _private(problem: Problem, possible: Possible) -> Change:
    low, high = 0, problem.private_layers
    while high - low > 1:
        middle = (low + high) // 2
        found = possible(replace(problem, private_layers=middle))
        low, high = (low, middle) if found is None else (middle, high)
    fewer = f"at most the first {low} of the {problem.layers} pieces" if low else "none of them"
    return Change(
        constraint=Constraint.PRIVATE,
        apply=partial(_replaced, private_layers=low),
        clause=f"keep {fewer} private",
    )


def _memory(problem: Problem, possible: Possible) -> Change | None:
    found = least_memory(problem, possible)
    if found is None:
        return None
    return Change(
        constraint=Constraint.MEMORY,
        apply=found.applied_to,
        clause=f"it needs {found.phrase(problem)}",
    )


def _operators(problem: Problem, possible: Possible) -> Change:
    lacking = [one.node_id for one in limited_nodes(problem)]
    alone = [
        node_id
        for node_id in lacking
        if possible(constraints.without_gaps(problem, frozenset({node_id}))) is not None
    ]
    whose = frozenset(alone[:1] or lacking)
    reasons = [
        f"{problem.label(one.node_id)}: {one.reason}"
        for one in limited_nodes(problem)
        if one.node_id in (alone or lacking)
    ]
    which = (
        "one of these nodes" if len(alone) > 1 else "these nodes" if len(whose) > 1 else "this node"
    )
    return Change(
        constraint=Constraint.OPERATORS,
        apply=partial(constraints.without_gaps, whose=whose),
        clause=f"give {which} a newer runtime, or add a node that has one ({'; '.join(reasons)})",
    )


def _links(problem: Problem, possible: Possible) -> Change:
    missing = constraints.missing_pairs(problem)
    pairs = _few_pairs(problem, missing, possible)
    told = [f"{problem.label(a)} → {problem.label(b)}" for a, b in pairs]
    return Change(
        constraint=Constraint.LINKS,
        apply=partial(constraints.with_links, pairs=pairs),
        clause=f"connect {wording.listed(told, most=3)}",
    )


def _few_pairs(
    problem: Problem, missing: tuple[tuple[NodeId, NodeId], ...], possible: Possible
) -> tuple[tuple[NodeId, NodeId], ...]:
    """One missing link where one is enough, else both ways of a pair, else all of a node, else all."""
    ways: list[tuple[tuple[NodeId, NodeId], ...]] = [(pair,) for pair in missing]
    ways += [((a, b), (b, a)) for a, b in missing if a < b and (b, a) in missing]
    ways += [tuple(pair for pair in missing if node in pair) for node in _ends(missing)]
    enough = (
        way
        for way in ways[:MAX_WAYS_TRIED]
        if possible(constraints.with_links(problem, way)) is not None
    )
    return next(enough, missing)


def _ends(pairs: tuple[tuple[NodeId, NodeId], ...]) -> list[NodeId]:
    return sorted({node_id for pair in pairs for node_id in pair})


_SMALLEST: dict[Constraint, Callable[[Problem, Possible], Change | None]] = {
    Constraint.LATENCY_BOUND: _latency_bound,
    Constraint.SPLIT: _split,
    Constraint.STAGE_LIMIT: _stage_limit,
    Constraint.REQUIRED: _required,
    Constraint.PRIVATE: _private,
    Constraint.MEMORY: _memory,
    Constraint.OPERATORS: _operators,
    Constraint.LINKS: _links,
}
