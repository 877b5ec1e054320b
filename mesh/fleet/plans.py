"""Plans as values: made from the planner's answer, compared, and read against what stages report."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from mesh.fleet.view import View
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.planning import Explanation, Solution
from mesh.planning.pieces import Pieces
from mesh.wire import codec
from mesh.wire.documents import Plan, PlanPhase, PlanStage, StageState, StageStatus

WORTHWHILE_GAIN = 1.05
"""A healthy plan is replaced only by one that promises this factor more throughput."""


_SHORTEST_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the coordinator must know of a model that is to be served."""

    model_id: ModelId
    name: str
    min_stages: int
    pieces: Pieces


def propose(
    facts: ModelFacts, solution: Solution, explanation: Explanation, *, epoch: Epoch
) -> Plan:
    stages = []
    for stage in solution.stages:
        operators = facts.pieces.layer_range(stage.layers)
        stages.append(
            PlanStage(
                node_id=stage.node_id,
                start=operators.start,
                stop=operators.stop,
                compute_s=stage.compute_s,
                transfer_s=stage.transfer_s,
            )
        )
    single = explanation.best_single
    content = codec.encode((facts.model_id, epoch, tuple(stages)))
    return Plan(
        plan_id=PlanId(hashlib.sha256(content).hexdigest()[:16]),
        epoch=epoch,
        model_id=facts.model_id,
        phase=PlanPhase.PREPARING,
        stages=tuple(stages),
        bottleneck_s=max(solution.bottleneck_s, _SHORTEST_S),
        bottleneck=str(solution.bottleneck),
        latency_s=solution.latency_s,
        single_node=single.stages[0].node_id if single is not None else None,
        single_node_s=single.bottleneck_s if single is not None else None,
        verdict=explanation.verdict,
    )


def next_epoch(view: View, model_id: ModelId, live: Plan | None) -> Epoch:
    seen = [live.epoch] if live is not None else []
    for node in view.values():
        plans = node.plans.plans if node.plans is not None else ()
        seen += [plan.epoch for plan in plans if plan.model_id == model_id]
    return Epoch(max(seen, default=0) + 1)


def is_healthy(plan: Plan, ready: Collection[NodeId]) -> bool:
    return all(stage.node_id in ready for stage in plan.stages)


def is_worthwhile(plan: Plan, live: Plan, *, min_stages: int) -> bool:
    """Whether to switch from a healthy live plan: for the gain, or for the split asked for."""
    if _layout(plan) == _layout(live):
        return False
    if len(live.stages) < min(min_stages, len(plan.stages)):
        return True
    return live.bottleneck_s / plan.bottleneck_s >= WORTHWHILE_GAIN


def _layout(plan: Plan) -> tuple[tuple[NodeId, int, int], ...]:
    return tuple((stage.node_id, stage.start, stage.stop) for stage in plan.stages)


def broken(view: View, plan: Plan | None) -> dict[NodeId, str]:
    """Nodes that gave up on their stage of this plan, with their own words."""
    if plan is None:
        return {}
    return {
        plan.stages[i].node_id: status.error or "its stage failed"
        for i, status in statuses(view, plan).items()
        if status.state is StageState.FAILED
    }


def unready(view: View, plan: Plan) -> tuple[NodeId, ...]:
    """Nodes whose stage of this plan is not loaded."""
    reported = statuses(view, plan)
    return tuple(
        stage.node_id
        for i, stage in enumerate(plan.stages)
        if i not in reported or reported[i].state is not StageState.READY
    )


def statuses(view: View, plan: Plan) -> dict[int, StageStatus]:
    found: dict[int, StageStatus] = {}
    for i, stage in enumerate(plan.stages):
        node = view.get(stage.node_id)
        for status in node.stages.stages if node is not None and node.stages is not None else ():
            if status.plan_id == plan.plan_id and status.stage == i:
                found[i] = status
    return found
