"""What this node should hold now, and the next thing to do about it: pure, level-triggered.

Adopting a plan, keeping stages and loading them are functions of what the nodes say, so a node that
slept, restarted or missed a message comes right by itself.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId, PlanId
from mesh.wire.documents import Plan, PlanPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKey:
    """One stage of one plan."""

    plan_id: PlanId
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Stages to load and to let go."""

    load: tuple[tuple[Plan, int], ...]
    unload: tuple[StageKey, ...]


SLACK = 4.0
"""Requests may take so many times as long as was promised: nodes get slower, gateways are several."""
WINDOW_PER_NODE = 2
"""Requests that a gateway has under way for each node of a plan, unless it is told otherwise.

One is computed, one is on its way.
"""
LONGEST_S = 600.0


def under_way_s(plan: Plan) -> float:
    """For how long a request may still be under way by a plan that was just replaced."""
    queue_s = WINDOW_PER_NODE * len(plan.node_ids) * plan.bottleneck_s
    return min(SLACK * (plan.latency_s + queue_s), LONGEST_S)


def newer(one: Plan, other: Plan | None) -> bool:
    """Whether a plan replaces another of its model: by epoch, then by id (two coordinators)."""
    return other is None or (one.epoch, one.plan_id) > (other.epoch, other.plan_id)


def adopt(
    adopted: Mapping[ModelId, Plan],
    view: View,
    *,
    present: Collection[NodeId],
    served: Collection[ModelId],
) -> dict[ModelId, Plan]:
    """The live plan of each served model: the newest that this node or a present one knows."""
    best = {model_id: plan for model_id, plan in adopted.items() if model_id in served}
    for plan in _plans(view, present):
        if plan.phase is not PlanPhase.LIVE or plan.model_id not in served:
            continue
        if newer(plan, best.get(plan.model_id)):
            best[plan.model_id] = plan
    return best


def preparing(
    view: View, coordinator: NodeId | None, adopted: Mapping[ModelId, Plan]
) -> tuple[Plan, ...]:
    """The plans that the coordinator wants made ready: only its word counts."""
    if coordinator is None or coordinator not in view:
        return ()
    return tuple(
        plan
        for plan in _plans(view, (coordinator,))
        if plan.phase is PlanPhase.PREPARING and newer(plan, adopted.get(plan.model_id))
    )


def changes(
    wanted: Iterable[Plan],
    *,
    me: NodeId,
    held: Collection[StageKey],
    lingering: Collection[StageKey],
) -> Changes:
    """Compare what the wanted plans give this node with what it holds (loaded, loading or failed).

    `lingering` stages belong to a plan that was just replaced: frames of it may still be under way.
    """
    wanted = tuple(wanted)
    mine = {
        StageKey(plan_id=plan.plan_id, stage=stage): (plan, stage)
        for plan in wanted
        for stage, one in enumerate(plan.stages)
        if me in one.node_ids
    }
    return Changes(
        load=tuple(target for key, target in mine.items() if key not in held),
        unload=tuple(key for key in held if key not in mine and key not in lingering),
    )


def _plans(view: View, nodes: Iterable[NodeId]) -> Iterable[Plan]:
    for node_id in nodes:
        node = view.get(node_id)
        if node is not None and node.plans is not None:
            yield from node.plans.plans
