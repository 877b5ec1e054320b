"""Plans as values: made from the planner's answer, compared, and read against what stages report."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from mesh.errors import MeshError
from mesh.fleet.view import View
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import LayerRange
from mesh.planning import Explanation, Problem, Solution, evaluate
from mesh.planning.pieces import Pieces
from mesh.planning.wishes import Wishes
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_PLAN_REASON_CHARS,
    MAX_PROBLEM_CHARS,
    Plan,
    PlanPhase,
    PlanReplica,
    PlanStage,
    StageState,
    StageStatus,
)

_SHORTEST_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the coordinator must know of a model that is to be served."""

    model_id: ModelId
    name: str
    wishes: Wishes
    pieces: Pieces


def propose(
    facts: ModelFacts,
    solution: Solution,
    explanation: Explanation,
    *,
    epoch: Epoch,
    reason: str = "",
) -> Plan:
    """The plan to be made ready; `reason` says why there is a new epoch."""
    stages = []
    for stage in solution.stages:
        operators = facts.pieces.layer_range(stage.layers)
        stages.append(
            PlanStage(
                start=operators.start,
                stop=operators.stop,
                replicas=tuple(
                    PlanReplica(
                        node_id=replica.node_id,
                        share=replica.share,
                        compute_s=replica.compute_s,
                        transfer_s=replica.receive_s,
                    )
                    for replica in stage.replicas
                ),
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
        bottleneck=str(solution.bottleneck)[:MAX_PROBLEM_CHARS],
        latency_s=solution.latency_s,
        single_node=single.node_ids[0] if single is not None else None,
        single_node_s=single.bottleneck_s if single is not None else None,
        verdict=explanation.verdict[:MAX_PROBLEM_CHARS],  # nodes choose their names
        optimal=solution.optimal,
        gap=solution.gap,
        reason=reason[:MAX_PLAN_REASON_CHARS],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """From one node to another, with what operator `cut` takes in; the last cut is the model's answer."""

    cut: int
    sender: NodeId
    receiver: NodeId


def links_of(plan: Plan, gateway: NodeId) -> list[Handover]:
    """The links that a plan uses with this gateway."""
    carriers = [(gateway,), *(stage.node_ids for stage in plan.stages), (gateway,)]
    cuts = [plan.stages[0].start, *(stage.stop for stage in plan.stages)]
    return [
        Handover(cut=cut, sender=one, receiver=other)
        for cut, senders, receivers in zip(cuts, carriers[:-1], carriers[1:], strict=True)
        for one in senders
        for other in receivers
        if one != other
    ]


def next_epoch(view: View, model_id: ModelId, live: Plan | None) -> Epoch:
    seen = [live.epoch] if live is not None else []
    for node in view.values():
        plans = node.plans.plans if node.plans is not None else ()
        seen += [plan.epoch for plan in plans if plan.model_id == model_id]
    return Epoch(max(seen, default=0) + 1)


def is_healthy(plan: Plan, ready: Collection[NodeId]) -> bool:
    """Whether every node of it is ready."""
    return all(node_id in ready for node_id in plan.node_ids)


def as_planned(problem: Problem, pieces: Pieces, plan: Plan) -> Solution | None:
    """A plan with the figures that a problem gives it; None where the problem does not allow it."""
    place = {operator: piece for piece, operator in enumerate(pieces.boundaries)}
    try:
        assignment = [
            (stage.node_ids, LayerRange(start=place[stage.start], stop=place[stage.stop]))
            for stage in plan.stages
        ]
        return evaluate(problem, assignment)
    except (KeyError, MeshError):
        return None


def broken(view: View, plan: Plan | None) -> dict[NodeId, str]:
    """Nodes that gave up on their stage of this plan, with their own words."""
    if plan is None:
        return {}
    return {
        node_id: status.error or "its stage failed"
        for (_, node_id), status in statuses(view, plan).items()
        if status.state is StageState.FAILED
    }


def unready(view: View, plan: Plan) -> tuple[NodeId, ...]:
    """Nodes whose stage of this plan is not loaded."""
    reported = statuses(view, plan)
    return tuple(
        node_id
        for i, stage in enumerate(plan.stages)
        for node_id in stage.node_ids
        if (i, node_id) not in reported or reported[i, node_id].state is not StageState.READY
    )


def statuses(view: View, plan: Plan) -> dict[tuple[int, NodeId], StageStatus]:
    """What the nodes of a plan say of their replicas, by stage and node."""
    told = {
        (i, node_id): status_of(view, plan, i, node_id)
        for i, stage in enumerate(plan.stages)
        for node_id in stage.node_ids
    }
    return {place: status for place, status in told.items() if status is not None}


def held_by(view: View, live: Plan | None) -> dict[NodeId, int]:
    """The bytes that the stages of a live plan take, which stay until the next plan is live."""
    held: dict[NodeId, int] = {}
    for (_, node_id), status in (statuses(view, live) if live is not None else {}).items():
        held[node_id] = held.get(node_id, 0) + status.resident_bytes
    return {node_id: size_bytes for node_id, size_bytes in held.items() if size_bytes}


def status_of(view: View, plan: Plan, stage: int, node_id: NodeId) -> StageStatus | None:
    """What a node says of its replica of a stage; None before it says anything."""
    node = view.get(node_id)
    for status in node.stages.stages if node is not None and node.stages is not None else ():
        if status.plan_id == plan.plan_id and status.stage == stage:
            return status
    return None
