"""The answer to `mesh plan`: a plan and what it was weighed against, as one value for people and programs; pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.ids import Epoch, ModelId, NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Bottleneck, Explanation, PlannedReplica, PlannedStage, Problem, Solution
from mesh.planning.problem_file import ModelNote, document_of
from mesh.wire.planned import (
    LeftOut,
    LivePlan,
    NoOption,
    PlanHelp,
    PlannedNode,
    PlannedPart,
    PlanOption,
    PlanReply,
)

MeasuredCompute = Mapping[tuple[int, NodeId], float]
"""Seconds by stage and node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The plan that serves the model now, and how it does.

    `measured_compute_s` has what its nodes measured; a rate or a time that nobody measured is None.
    """

    epoch: Epoch
    reason: str = ""
    requests_per_s: float | None = None
    latency_s: float | None = None
    measured_compute_s: MeasuredCompute = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A question with its answer. `boundaries[i]` is the operator at which the problem's layer i starts.

    `names` are of nodes that the problem does not name; `others` are no part of it, and why.
    `is_live`: it is the live plan that was weighed. Not `from_mesh`: no node was asked. `supposed`
    says what nobody measured, `corrections` what is not taken as it was; `rate_range` is what the plan
    gives then, at least and at most.
    """

    name: str
    model_id: ModelId
    boundaries: tuple[int, ...]
    problem: Problem
    explanation: Explanation
    front: tuple[Solution, ...] = ()
    others: tuple[LeftOut, ...] = ()
    names: Mapping[NodeId, str] = field(default_factory=dict)
    live: Live | None = None
    is_live: bool = False
    from_mesh: bool = True
    with_problem: bool = False
    supposed: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()
    rate_range: tuple[float, float] | None = None


def report(weighed: Weighed) -> PlanReply:
    """Put it together; nodes are called by their names."""
    return _Report(weighed).reply()


class _Report:
    def __init__(self, weighed: Weighed) -> None:
        self._weighed = weighed
        self._room_bytes = {node.node_id: node.memory_bytes for node in weighed.problem.nodes}

    def reply(self) -> PlanReply:
        weighed, told = self._weighed, self._weighed.explanation
        bound_s = weighed.problem.latency_bound_s
        return PlanReply(
            name=weighed.name,
            model_id=weighed.model_id,
            operators=weighed.boundaries[-1],
            gateway=weighed.problem.gateway,
            gateway_name=self._name(weighed.problem.gateway),
            objective=weighed.problem.objective.value,
            latency_bound_s=bound_s if math.isfinite(bound_s) else None,
            verdict=_of_the_live_plan(told.verdict),
            chosen=self._chosen(),
            alternatives=tuple(
                self._option(title, found) for title, found, _ in self._rivals() if found
            ),
            missing=tuple(
                NoOption(title=title, reason=why)
                for title, found, why in self._rivals()
                if found is None
            ),
            left_out=self._left_out(),
            limited=self._named((one.node_id, one.reason) for one in told.limited),
            helps=tuple(
                PlanHelp(
                    sentence=one.sentence,
                    requests_per_s=_finite(one.requests_per_s),
                    latency_s=one.latency_s,
                )
                for one in told.helps
            ),
            front=tuple(self._option("", solution) for solution in weighed.front),
            live=self._live(),
            from_mesh=weighed.from_mesh,
            supposed=weighed.supposed,
            corrections=weighed.corrections,
            notes=told.notes,
            least_requests_per_s=_finite(weighed.rate_range[0]) if weighed.rate_range else None,
            most_requests_per_s=_finite(weighed.rate_range[1]) if weighed.rate_range else None,
            problem=document_of(weighed.problem, model=self._note())
            if weighed.with_problem
            else None,
        )

    def _rivals(self) -> tuple[tuple[str, Solution | None, str], ...]:
        told = self._weighed.explanation
        return (
            ("best single node", told.best_single, told.why_no_single),
            ("best replicas", told.best_replicas, told.why_no_replicas),
            ("best pipeline", told.best_pipeline, told.why_no_pipeline),
        )

    def _live(self) -> LivePlan | None:
        live = self._weighed.live
        if live is None:
            return None
        return LivePlan(
            epoch=live.epoch,
            reason=live.reason,
            requests_per_s=live.requests_per_s,
            latency_s=live.latency_s,
        )

    def _note(self) -> ModelNote:
        weighed = self._weighed
        return ModelNote(
            name=weighed.name, model_id=weighed.model_id, boundaries=weighed.boundaries
        )

    def _chosen(self) -> PlanOption:
        weighed = self._weighed
        if weighed.is_live and weighed.live is not None:
            return self._option("live", weighed.explanation.chosen, weighed.live.measured_compute_s)
        return self._option("chosen", weighed.explanation.chosen)

    def _option(
        self, title: str, solution: Solution, measured_s: MeasuredCompute | None = None
    ) -> PlanOption:
        return PlanOption(
            title=title,
            stages=tuple(
                self._part(i, stage, measured_s or {}) for i, stage in enumerate(solution.stages)
            ),
            exit_s=solution.exit_s,
            bottleneck_s=solution.bottleneck_s,
            latency_s=solution.latency_s,
            bottleneck=self._in_words(solution.bottleneck),
            bottleneck_kind=solution.bottleneck.kind.value,
            bottleneck_nodes=solution.bottleneck.node_ids,
            bottleneck_receivers=solution.bottleneck.receiver_ids,
            optimal=solution.optimal,
            gap=solution.gap,
            notes=solution.notes,
        )

    def _part(self, i: int, stage: PlannedStage, measured_s: MeasuredCompute) -> PlannedPart:
        operators = self._operators(stage.layers)
        return PlannedPart(
            start=operators.start,
            stop=operators.stop,
            period_s=stage.period_s,
            replicas=tuple(
                self._node(one, measured_s.get((i, one.node_id))) for one in stage.replicas
            ),
        )

    def _operators(self, layers: LayerRange) -> LayerRange:
        at = self._weighed.boundaries
        return LayerRange(start=at[layers.start], stop=at[layers.stop])

    def _node(self, replica: PlannedReplica, measured_compute_s: float | None) -> PlannedNode:
        return PlannedNode(
            node_id=replica.node_id,
            node_name=self._name(replica.node_id),
            share=replica.share,
            compute_s=replica.compute_s,
            receive_s=replica.receive_s,
            send_s=replica.send_s,
            pace_s=replica.pace_s,
            memory_bytes=replica.memory_bytes,
            room_bytes=int(self._room_bytes[replica.node_id]),
            measured_compute_s=measured_compute_s,
        )

    def _in_words(self, bottleneck: Bottleneck) -> str:
        text = str(bottleneck)
        for node_id in (*bottleneck.node_ids, *bottleneck.receiver_ids):
            text = text.replace(node_id, self._name(node_id))
        return text

    def _left_out(self) -> tuple[LeftOut, ...]:
        told = self._weighed.explanation.left_out
        return (
            *self._named((one.node_id, _of_the_live_plan(one.sentence)) for one in told),
            *self._weighed.others,
        )

    def _named(self, reasons: Iterable[tuple[NodeId, str]]) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(node_id=node_id, node_name=self._name(node_id), reason=reason)
            for node_id, reason in reasons
        )

    def _name(self, node_id: NodeId | None) -> str:
        given = self._weighed.names.get(node_id) if node_id is not None else None
        return given or self._weighed.problem.label(node_id)


def _of_the_live_plan(text: str) -> str:
    """The planner calls a plan that it did not find the given one."""
    return text.replace("the given plan", "the live plan")


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
