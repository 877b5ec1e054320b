"""Ways through a plan: one number that names a replica of each stage, the same to everybody; pure.

Sessions keep to theirs, a golden check takes as many as show every replica, retries change theirs.
"""

import math

from mesh.fleet.routes import Route
from mesh.ids import NodeId, RequestKey
from mesh.wire.documents import Plan, PlanStage

NO_WAY = 0
"""Each hand-over chooses for itself."""
MAX_WAY = 255
_LEAST_SHARE = 1e-9
"""Of a way through many stages; the product of their shares may be too small for a number."""


def number_on(stage: PlanStage, way: int) -> int:
    """Which of a stage's replicas a way names, from 0."""
    return (way - 1) % len(stage.replicas)


def node_on(stage: PlanStage, way: int) -> NodeId:
    """The replica of a stage that a way names."""
    return stage.replicas[number_on(stage, way)].node_id


def nodes_on(plan: Plan, way: int) -> tuple[NodeId, ...]:
    """The nodes that a way passes, stage by stage."""
    return tuple(node_on(stage, way) for stage in plan.stages)


def is_replicated(plan: Plan) -> bool:
    return any(len(stage.replicas) > 1 for stage in plan.stages)


def covering(plan: Plan) -> tuple[int, ...]:
    """The fewest ways that pass every replica of the plan."""
    if not is_replicated(plan):
        return (NO_WAY,)
    return tuple(range(1, max(len(stage.replicas) for stage in plan.stages) + 1))


def open_ways(route: Route) -> dict[int, float]:
    """The ways that pass usable nodes alone, each with the product of its nodes' shares."""
    if not is_replicated(route.plan):
        return {NO_WAY: 1.0}
    return {
        way: max(math.prod(_share(stage, way) for stage in route.plan.stages), _LEAST_SHARE)
        for way in range(1, _different(route.plan) + 1)
        if all(node in route.usable[i] for i, node in enumerate(nodes_on(route.plan, way)))
    }


def retry_way(plan: Plan, key: RequestKey, attempt: int) -> int:
    """Another way at each attempt: where a stage has replicas, another one of them."""
    return (key[0] + attempt) % MAX_WAY + 1 if is_replicated(plan) else NO_WAY


def _different(plan: Plan) -> int:
    """How many ways there are before they repeat."""
    return min(MAX_WAY, math.lcm(*(len(stage.replicas) for stage in plan.stages)))


def _share(stage: PlanStage, way: int) -> float:
    return stage.replicas[number_on(stage, way)].share
